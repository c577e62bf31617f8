// What the pages can do beyond being read: the overview renews itself, a job's page follows the job. Without it all else works.
"use strict";

function followOverview(live) {
  const hint = document.querySelector("[data-live]");
  const button = hint.querySelector("[data-pause]");
  let paused = false;
  hint.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
  });

  // Not while somebody reads or works in it: what has the focus, or is open or selected, would vanish under their hands.
  const inUse = () =>
    document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]") || !getSelection().isCollapsed;

  async function renew() {
    if (paused || inUse()) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected || answer.status === 403) location.reload();
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (fresh && !inUse()) live.replaceChildren(...fresh.childNodes);
    } catch (error) {
      // The gateway is away; the next turn may succeed.
    }
  }
  setInterval(renew, Number(live.dataset.refresh) * 1000);
}

function followJob(section) {
  const words = document.getElementById("live-words");
  const progress = document.getElementById("progress");
  const box = document.getElementById("log");
  const lines = box.querySelector("tbody");
  const seen = new Set(Array.from(lines.rows, (row) => row.dataset.sequence));
  const number = new Intl.NumberFormat("en");
  const source = new EventSource(section.dataset.events);
  const told = (name, handle) => source.addEventListener(name, (message) => handle(JSON.parse(message.data)));

  source.addEventListener("open", () => { words.textContent = "This page follows the job."; });
  source.addEventListener("error", () => { words.textContent = "The connection was lost; trying again."; });

  told("progress", (event) => {
    const { stage, percent, rows, rows_total: total } = event.data;
    const text = document.createElement("span");
    text.className = "progress-words";
    text.textContent = stage + (rows === undefined ? "" : `: ${number.format(rows)}${total ? ` of ${number.format(total)}` : ""} rows`);
    progress.replaceChildren(text);
    const done = percent ?? (total ? (100 * rows) / total : undefined);
    if (done !== undefined) {
      const bar = document.createElement("progress");
      bar.max = 100;
      bar.value = done;
      bar.setAttribute("aria-label", stage);
      progress.prepend(bar, " ");
    }
  });

  told("log", (event) => {
    if (seen.has(String(event.sequence))) return;
    seen.add(String(event.sequence));
    const { level, message } = event.data;
    if (level === "DEBUG") return;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 30;
    const row = lines.insertRow();
    row.className = ["WARNING", "ERROR", "CRITICAL"].includes(level) ? level.toLowerCase() : "info";
    for (const text of [event.time.slice(11, 23), level, message]) row.insertCell().textContent = text;
    row.cells[0].className = "mono";
    document.getElementById("no-lines")?.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
  });

  const state = document.querySelector("#state .state");
  for (const [name, value] of [["started", "running"], ["retrying", "retrying"]]) {
    told(name, () => { state.className = `state ${value}`; state.textContent = value; });
  }
  // The end has buttons, a report and an error of its own: the page as it is now. The store may know it a moment later.
  for (const name of ["complete", "error", "cancelled", "dead"]) {
    told(name, () => {
      source.close();
      words.textContent = "The job has ended.";
      setTimeout(() => location.reload(), 700);
    });
  }
}

const live = document.getElementById("live");
if (live) followOverview(live);
const job = document.getElementById("live-job");
if (job) followJob(job);
