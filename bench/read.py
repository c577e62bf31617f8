"""How fast and in how much memory files are read and typed, against the bare parsers, side by side in one run.

    python bench/read.py [--rows 1000000] [--big]

Writes bench/data/read_*.csv once (not in git) and merges read_vs_parse (column profile included, as it is by default),
tolerant_mb_s, xlsx_vs_calamine and read_peak_mb into bench/results.json. `--big` reads a file of 2 GB too, both ways,
for read_peak_2gb_mb; that file is deleted afterwards.
"""

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

HERE = Path(__file__).parent
DATA = HERE / "data"
RESULTS = HERE / "results.json"

#: Runs of each; the fastest counts.
TIMES = 3

XLSX_ROWS = 50_000

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


def twice(work: Callable[..., None], *arguments: object) -> float:
    """Seconds of the second run: a child lives for many jobs, and its first one makes what is made once."""
    work(*arguments)
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def bare_calamine(path: Path) -> None:
    from python_calamine import CalamineWorkbook

    CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()


def our_workbook(path: Path) -> None:
    from consumer.push.formats import Hints
    from consumer.push.open_table import open_table
    from consumer.push.options import Options

    with tempfile.TemporaryDirectory() as folder:
        table = open_table(path, Hints(declared="XLSX"), Options(), Path(folder))
        assert sum(len(batch) for batch in table.batches()) == XLSX_ROWS


def make_xlsx(path: Path) -> None:
    """XLSX_ROWS rows of twenty columns: numbers, texts, dates."""
    if path.exists():
        return
    from openpyxl import Workbook  # type: ignore[import-untyped]

    draw = random.Random(7)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("data")
    sheet.append([f"c{position}" for position in range(20)])
    for number in range(XLSX_ROWS):
        day = datetime(2024, 1, 1) + timedelta(hours=number)
        texts = [" ".join(draw.choices(_WORDS, k=2)) for _ in range(8)]
        sheet.append([number, day, day.date(), number % 2 == 0, *texts, *(draw.uniform(0, 1e6) for _ in range(8))])
    book.save(path)


def measured(work: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Seconds and peak MB of *work* in a process of its own; imports are not timed."""
    return run_apart(_measured, work, arguments)


def run_apart(work: Callable[..., T], *arguments: object) -> T:
    """What *work* gives in a new process that has its imports done."""
    with multiprocessing.get_context("spawn").Pool(1, _import) as pool:
        return pool.apply(work, arguments)


def _import() -> None:
    """And what a job's child does next."""
    import pyarrow.csv  # noqa: F401

    import consumer.push.open_table  # noqa: F401
    from schemas.collector import collect_rarely

    collect_rarely()


def _measured(work: Callable[..., None], arguments: tuple[object, ...]) -> tuple[float, float]:
    start = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(*works: tuple[Callable[..., None], tuple[object, ...]], times: int = TIMES) -> list[tuple[float, float]]:
    """The fastest of several runs of each and its highest peak; runs take turns, so that all share a busy machine."""
    runs = [[measured(work, *arguments) for work, arguments in works] for _ in range(times)]
    return [(min(one[0] for one in column), max(one[1] for one in column)) for column in zip(*runs, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--big", action="store_true", help="also 2 GB")
    arguments = parser.parse_args()
    path = DATA / f"read_{arguments.rows}.csv"
    make_csv(path, arguments.rows)
    figures = delimited(path) | workbook(DATA / "read.xlsx")
    if arguments.big:
        figures["read_peak_2gb_mb"] = big(path)
    merge(figures)


def delimited(path: Path) -> dict[str, float]:
    size_mb = path.stat().st_size / 1e6
    bare, plain, ours = best((bare_parse, (path,)), (our_read, (path, "fast", False)), (our_read, (path,)))
    tolerant, whole = best((our_read, (path, "tolerant", False)), (our_read, (path, "tolerant")), times=2)
    print(f"{path.name}: {size_mb:.0f} MB x 20 columns")
    for label, (seconds, peak) in (("pyarrow, bare parse", bare), ("read, infer", plain), ("and profile", ours)):
        print(f"  {label:22} {seconds:6.2f} s {peak:6.0f} MB   {bare[0] / seconds:.2f} of the bare parse's speed")
    for label, (seconds, peak) in (("tolerant, infer", tolerant), ("and profile", whole)):
        print(f"  {label:22} {seconds:6.2f} s {peak:6.0f} MB   {size_mb / seconds:.0f} MB/s")
    return {
        "read_vs_parse": round(bare[0] / ours[0], 3), "unprofiled_read_vs_parse": round(bare[0] / plain[0], 3),
        "tolerant_mb_s": round(size_mb / tolerant[0], 1), "profiled_tolerant_mb_s": round(size_mb / whole[0], 1),
        "read_peak_mb": round(max(plain[1], ours[1], tolerant[1], whole[1])),
    }  # fmt: skip


def workbook(path: Path) -> dict[str, float]:
    make_xlsx(path)
    runs = [(run_apart(twice, bare_calamine, path), run_apart(twice, our_workbook, path)) for _ in range(7)]
    bare, ours = (min(column) for column in zip(*runs, strict=True))
    print(f"{path.name}: calamine {bare:.2f} s, ours {ours:.2f} s, {ours / bare:.2f} times")
    return {"xlsx_vs_calamine": round(ours / bare, 3)}


def big(small: Path) -> float:
    """The higher peak of both ways, in MB."""
    path = DATA / "read_2gb.csv"
    try:
        _repeat(small, path, 2_000_000_000)
        peaks = [_big(path, way) for way in ("fast", "tolerant")]
    finally:
        path.unlink()
    return round(max(peaks))


def _repeat(small: Path, path: Path, size_bytes: int) -> None:
    """The rows of *small* again and again: much faster than making new ones."""
    with small.open("rb") as rows, path.open("wb") as file:
        file.write(rows.readline())
        start = rows.tell()
        while file.tell() < size_bytes:
            rows.seek(start)
            shutil.copyfileobj(rows, file, 1 << 20)


def _big(path: Path, way: str) -> float:
    seconds, peak = measured(our_read, path, way)
    print(f"{path.name}, {way}: {path.stat().st_size / 1e9:.1f} GB in {seconds:.1f} s, {peak:.0f} MB")
    return peak


def merge(figures: Mapping[str, object]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, **figures}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
