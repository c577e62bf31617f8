"""How fast and in how much memory files are read and typed, against the bare parsers, side by side in one run.

    python bench/read.py [--rows 1000000] [--big]

Writes bench/data/read_*.csv once (not in git) and merges read_vs_parse, tolerant_mb_s, xlsx_vs_calamine and
read_peak_mb into bench/results.json. `--big` reads a file of 2 GB too.
"""

import argparse
import json
import multiprocessing
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "data"
RESULTS = HERE / "results.json"

_CITIES = ("Oslo", "Köln", "Łódź", "Paris", "Rio de Janeiro", "New York", "東京", "Springfield")
_WORDS = ("river", "station", "north", "survey", "level", "bridge", "permit", "school", "annual", "budget", "road")


def make_csv(path: Path, rows: int) -> None:
    """Twenty mixed columns, about 289 bytes a row: what open-data files look like."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    names = "id,code,name,city,lat,lon,amount,share,opened,updated,seen_at,active,flag,phone,zip,note,count,rate,url,free"
    notes = [" ".join(draw.choices(_WORDS, k=draw.randint(3, 9))) for _ in range(5_000)]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(names + "\n")
        for start in range(0, rows, 10_000):
            file.write("".join(_row(draw, number, notes) for number in range(start, min(rows, start + 10_000))))


def _row(draw: random.Random, number: int, notes: list[str]) -> str:
    number_text, day, month = draw.randint(0, 99_999_999), draw.randint(1, 28), draw.randint(1, 12)
    note = draw.choice(notes)
    quoted = f'"{note}, ""{note[:8]}"""' if number % 4 == 0 else note
    return (
        f"{number},{number_text:08d},{note[:24]},{draw.choice(_CITIES)},{draw.uniform(-90, 90):.6f},"
        f"{draw.uniform(-180, 180):.6f},{draw.randint(-10_000, 10_000_000) / 100},{draw.random():.8f},"
        f"2023-{month:02d}-{day:02d},2024-{month:02d}-{day:02d} {day % 24:02d}:30:{month * 4:02d},"
        f"{day:02d}/{month:02d}/2022,{'true' if day % 2 else 'false'},{'Y' if month % 2 else 'N'},"
        f"+47 22 {number_text % 1_000_000:06d},{number_text % 90_000 + 1_000:05d},{quoted},{number_text % 5_000},"
        f"{'NA' if day == 3 else draw.randint(1, 9_999)},https://data.example.org/dataset/{number_text}/resource/{number},"
        f"{notes[number % 5_000][:40]}\n"
    )


def bare_parse(path: Path) -> None:
    """pyarrow alone, streaming, every column as text."""
    import pyarrow as pa
    import pyarrow.csv as pc

    names = path.open(encoding="utf-8").readline().rstrip("\n").split(",")
    reader = pc.open_csv(
        path,
        read_options=pc.ReadOptions(block_size=8 << 20),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    for _ in reader:
        pass


def our_read(path: Path, way: str = "fast", profile: bool = True) -> None:
    from consumer.push.options import Options
    from consumer.push.read import read
    from consumer.push.table import DelimitedText

    table = read(DelimitedText(path), Options(profile=profile), way=way)  # type: ignore[arg-type]
    for _ in table.batches():
        pass
    assert len(table.columns) == 20


def timed(work: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Seconds and peak MB of *work* in a process of its own; imports are not timed."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., None], arguments: tuple[object, ...]) -> tuple[float, float]:
    import polars  # noqa: F401
    import pyarrow.csv  # noqa: F401

    import consumer.push.read  # noqa: F401

    start = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(work: Callable[..., None], *arguments: object, times: int = 3) -> tuple[float, float]:
    runs = [timed(work, *arguments) for _ in range(times)]
    return min(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--big", action="store_true", help="also 2 GB")
    arguments = parser.parse_args()
    path = DATA / f"read_{arguments.rows}.csv"
    make_csv(path, arguments.rows)
    size_mb = path.stat().st_size / 1e6
    bare, bare_peak = best(bare_parse, path)
    ours, peak = best(our_read, path)
    plain, _ = best(our_read, path, "fast", False)
    tolerant, tolerant_peak = best(our_read, path, "tolerant", times=1)
    print(f"{size_mb:.0f} MB, {arguments.rows:,} rows x 20 columns")
    print(f"pyarrow, bare parse      {bare:6.2f} s  {bare_peak:6.0f} MB")
    print(f"read, infer, profile     {ours:6.2f} s  {peak:6.0f} MB   {bare / ours:.2f} of the bare parse's speed")
    print(f"read, infer              {plain:6.2f} s               {bare / plain:.2f}")
    print(f"tolerant path            {tolerant:6.2f} s  {tolerant_peak:6.0f} MB   {size_mb / tolerant:.0f} MB/s")
    figures = {
        "read_vs_parse": round(bare / ours, 3),
        "tolerant_mb_s": round(size_mb / tolerant, 1),
        "read_peak_mb": round(peak),
    }
    if arguments.big:
        big = DATA / "read_big.csv"
        make_csv(big, int(2e9 / size_mb / 1e6 * arguments.rows))
        seconds, big_peak = timed(our_read, big)
        print(f"{big.stat().st_size / 1e9:.1f} GB                   {seconds:6.2f} s  {big_peak:6.0f} MB")
        figures["read_peak_mb"] = round(max(peak, big_peak))
    merge(figures)


def merge(figures: dict[str, float]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, **figures}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
