"""Whatever a file holds, reading it ends in a table or in an error that says what is wrong with the file."""

import io
import tempfile
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.push.inspect import inspect
from tests.push.test_wild import WILD

FILES = sorted(path for path in (WILD / "files").iterdir() if path.stat().st_size < 20_000)
_BITS = st.sampled_from(
    [b'"', b",", b"\n", b"\r", b"\\", b"\x00", b"\xff", b"\xff\xff\xff\xff", b"{", b"]", b"<", b">", b"&#0;", b"1e999"]
)  # fmt: skip


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of the wild with some bytes changed; of an archive or a workbook sometimes those of a member."""
    path = draw(st.sampled_from(FILES))
    data = path.read_bytes()
    if zipfile.is_zipfile(path) and draw(st.booleans()):
        return path.name, _with_damaged_member(draw, data)
    return path.name, _damaged(draw, data)


def _damaged(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        instead = draw(st.one_of(_BITS, st.binary(max_size=4), _BITS.map(lambda bit: bit * 300)))
        data = data[:at] + instead + data[at + draw(st.sampled_from([0, 0, 1, 4, 200, 10_000])) :]
    return data


def _with_damaged_member(draw: st.DrawFn, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if members:
        name = draw(st.sampled_from(sorted(members)))
        members[name] = _damaged(draw, members[name])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged_files())
def test_any_bytes_end_in_a_table_or_in_an_error_of_the_file(file: tuple[str, bytes]) -> None:
    name, data = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)

        facts = inspect(path, data=True)

    assert ("error" in facts) != ("rows" in facts)
