"""Ways to get a CSV file into a table as CKAN's DataStore has them: ours, bare SQL, XLoader's; each gives the seconds that
its full-text index took, which is a part of its time like any other."""

import subprocess
import time
from pathlib import Path

TRIGGER = """
CREATE FUNCTION populate_full_text_trigger() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    IF NEW._full_text IS NULL THEN
        NEW._full_text := (SELECT to_tsvector(string_agg(value, ' ')) FROM json_each_text(row_to_json(NEW.*))
                           WHERE NOT starts_with(key, '_'));
    END IF;
    RETURN NEW;
END $f$;
CREATE VIEW "_table_metadata" AS SELECT relname AS name FROM pg_class WHERE relkind = 'r';
CREATE TABLE "_table_stats" (resource_id name PRIMARY KEY, stats jsonb NOT NULL)"""
ZFULLTEXT = (
    "CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE PROCEDURE populate_full_text_trigger()"
)
#: What our reader finds out; the bare ways are given it.
TYPES = {
    "id": "numeric", "lat": "numeric", "lon": "numeric", "amount": "numeric", "share": "numeric", "count": "numeric",
    "rate": "numeric", "opened": "timestamp", "updated": "timestamp", "seen_at": "timestamp",
}  # fmt: skip
WORKERS = 8
#: Rows that XLoader updates at a time (its default).
UPDATED_ROWS = 100_000

CLOCK = "SELECT extract(epoch FROM clock_timestamp())"


def ours(path: Path, url: str) -> float:
    import consumer.push.replacing as replacing
    from consumer.push.load import Target
    from consumer.push.load_copy import CopyLoader
    from consumer.push.options import Options
    from consumer.push.read import read
    from consumer.push.table import DelimitedText
    from consumer.report import Report, logging_outlet

    module = vars(replacing)
    seconds, add_indexes = [], module["add_indexes"]

    def timed(*arguments: object) -> None:
        started = time.perf_counter()
        add_indexes(*arguments)
        seconds.append(time.perf_counter() - started)

    # This process loads once and ends, so nobody else sees it.
    module["add_indexes"] = timed
    table = read(DelimitedText(path), Options())
    CopyLoader(url, None).load(table, Target(resource_id="ours"), Report(logging_outlet))
    found = {column.name: column.ckan for column in table.columns if column.ckan != "text"}
    assert found == TYPES, found
    return sum(seconds)


def psql_copy(path: Path, url: str) -> float:
    """The limit of moving the bytes: a plain text table without anything."""
    names = names_of(path)
    return psql(url, f"CREATE TABLE plain ({texts(names)})", copy("plain", path))


def bare_ctas(path: Path, url: str) -> float:
    """The same result as ours by bare SQL in one transaction, with the types known beforehand."""
    names = names_of(path)
    values, words = _typed(names)
    columns = ", ".join(f"{value} AS {name}" for name, value in zip(names, values, strict=True))
    return psql(
        url,
        "BEGIN; SET LOCAL datestyle = 'ISO, DMY'; SET LOCAL jit = off",
        f"CREATE UNLOGGED TABLE _stg (_id serial, {texts(names)})",
        copy(f"_stg ({', '.join(names)})", path),
        f"""SET LOCAL max_parallel_workers_per_gather = {WORKERS}; SET LOCAL parallel_setup_cost = 0;
        SET LOCAL parallel_tuple_cost = 0; ALTER TABLE _stg SET (parallel_workers = {WORKERS})""",
        f"CREATE TABLE _new AS SELECT _id, to_tsvector(concat_ws(' ', {', '.join(words)})) AS _full_text, {columns} FROM _stg",
        "DROP TABLE _stg; ALTER TABLE _new ADD PRIMARY KEY (_id)",
        "CREATE SEQUENCE new_id OWNED BY _new._id; ALTER TABLE _new ALTER _id SET DEFAULT nextval('new_id')",
        ZFULLTEXT.format("_new"),
        CLOCK,
        "CREATE INDEX ON _new USING gist (_full_text)",
        CLOCK,
        "ALTER TABLE _new RENAME TO ctas; COMMIT",
    )


def xloader(path: Path, url: str) -> float:
    """What ckanext-xloader 2.x has PostgreSQL do in its COPY mode, without CKAN and its own reading around it.

    Nothing is typed. The table stands with its key and CKAN's trigger, the trigger is turned off; COPY in one
    transaction; in another the rows are counted and their full text is set, 100,000 ids at a time, both ends included;
    ANALYZE; then the indexes, and the trigger is on again. (That CKAN makes the index and XLoader drops it while the
    table is empty is left out.)
    """
    names = names_of(path)
    with path.open("rb") as file:
        rows = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
    words = " || ' ' || ".join(f"coalesce({name}, '')" for name in names)
    return psql(
        url,
        f"CREATE TABLE xloaded (_id serial PRIMARY KEY, _full_text tsvector, {texts(names)}); {ZFULLTEXT.format('xloaded')}",
        "ALTER TABLE xloaded DISABLE TRIGGER zfulltext",
        copy(f"xloaded ({', '.join(names)})", path),
        "BEGIN; DO $$ BEGIN PERFORM count(_id) FROM xloaded; END $$",
        *(
            f"UPDATE xloaded SET _full_text = to_tsvector({words}) WHERE _id BETWEEN {start} AND {start + UPDATED_ROWS}"
            for start in range(0, rows, UPDATED_ROWS)
        ),
        "COMMIT",
        "ANALYZE xloaded",
        CLOCK,
        "CREATE INDEX ON xloaded USING gist (_full_text)",
        CLOCK,
        "ALTER TABLE xloaded ENABLE TRIGGER zfulltext",
    )


def ckans_own(path: Path, url: str) -> float:
    """As rows come by CKAN's API: each passes the trigger and the index. For the table's size; its time is no rival's,
    as CKAN's own work is missing."""
    names = names_of(path)
    values, _ = _typed(names)
    columns = ", ".join(f"{name} {TYPES.get(name, 'text')}" for name in names)
    return psql(
        url,
        "SET datestyle = 'ISO, DMY'",
        f"CREATE TEMP TABLE plain ({texts(names)})",
        copy("plain", path),
        f"CREATE TABLE inserted (_id serial PRIMARY KEY, _full_text tsvector, {columns}); {ZFULLTEXT.format('inserted')}",
        "CREATE INDEX ON inserted USING gist (_full_text)",
        f"INSERT INTO inserted ({', '.join(names)}) SELECT {', '.join(values)} FROM plain",
    )


def _typed(names: list[str]) -> tuple[list[str], list[str]]:
    """The SQL of each value, and of its text as CKAN's trigger sees it."""
    values = [f"nullif({name}, 'NA')::{TYPES[name]}" if name in TYPES else name for name in names]
    words = [f"replace(({value})::text, ' ', 'T')" if TYPES.get(name) == "timestamp" else f"({value})::text"
             for name, value in zip(names, values, strict=True)]  # fmt: skip
    return values, words


def names_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def texts(names: list[str]) -> str:
    return ", ".join(f"{name} text" for name in names)


def copy(table: str, path: Path) -> str:
    return f"\\copy {table} FROM '{path}' WITH (FORMAT csv, HEADER)"


def psql(url: str, *commands: str) -> float:
    """Runs *commands* in one session; the seconds between its two CLOCKs, 0.0 without."""
    arguments = [part for command in commands for part in ("-c", command)]
    done = subprocess.run(
        ["psql", url, "-qtAX", "-v", "ON_ERROR_STOP=1", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    clocks = [float(line) for line in done.stdout.split()]
    return clocks[-1] - clocks[0] if clocks else 0.0
