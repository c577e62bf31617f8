// Have a resource loaded, and wait for the end, from Node:
//   npm install && CKAN_API_TOKEN=… node publish.js https://ckan.example.org <resource id>
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const BROKER = process.env.DATAPUSHER_BROKER_URL ?? "amqp://guest:guest@localhost:5672/";
const PREFIX = process.env.DATAPUSHER_VHOST_PREFIX ?? "datapusher";
const [ckan_url, resource_id] = process.argv.slice(2);

const connection = await amqp.connect(BROKER);
const channel = await connection.createConfirmChannel();
const jobId = randomUUID();

// Listen before the job is sent, so that its end cannot be missed.
const { queue } = await channel.assertQueue("", { exclusive: true });
for (const kind of ["complete", "error", "cancelled", "dead"]) {
  await channel.bindQueue(queue, `${PREFIX}.events`, `job.${kind}.push_to_datastore`);
}
const ended = new Promise((resolve) => {
  channel.consume(queue, (message) => {
    const event = JSON.parse(message.content);
    if (event.subject === jobId) resolve(event);
  }, { noAck: true });
});

let unroutable = false;
channel.on("return", () => { unroutable = true; });
const job = { job_type: "push_to_datastore", api_key: process.env.CKAN_API_TOKEN, metadata: { ckan_url, resource_id } };
channel.publish(`${PREFIX}.jobs`, "push_to_datastore", Buffer.from(JSON.stringify(job)), {
  messageId: jobId, type: "datapusher.job", contentType: "application/json", persistent: true, mandatory: true,
});
await channel.waitForConfirms(); // the broker has the job on its disks; a refusal is thrown
if (unroutable) {
  console.error("Nobody runs such jobs: no worker for them has ever been connected.");
  process.exitCode = 1;
} else {
  const event = await ended;
  const { error, data: report } = event.data;
  console.log(`${jobId}: ${event.type.split(".").at(-1)}`, JSON.stringify(error ?? report.rows ?? report));
  process.exitCode = error ? 1 : 0;
}
await connection.close();
