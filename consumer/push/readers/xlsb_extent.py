"""How far a sheet of XLSB reaches, and which sheets there are: the few record types that tell (MS-XLSB)."""

import struct
from collections.abc import Iterator

from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.workbook_limits import Chunks, check_memory


def _xlsb_records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, offset of the body, length of the body) of each record (MS-XLSB 2.1.4); ends where they make no sense."""
    at = 0
    while at < len(data):
        kind, at = _varint(data, at, 2)
        length, at = _varint(data, at, 4)
        if at + length > len(data):
            return
        yield kind, at, length
        at += length


def _varint(data: bytes, at: int, most_bytes: int) -> tuple[int, int]:
    number = 0
    for place in range(most_bytes):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            break
    return number, at


_BRT_ROW, _BRT_CELLS, _BRT_ERRORS, _BRT_SHEET = 0, range(1, 12), (3, 11), 156


def measure_xlsb(chunks: Chunks) -> ErrorCells:
    data = bytearray()
    for chunk in chunks():
        data += chunk
        check_memory(0, 0, len(data))
    rows = columns = row = 0
    errors = ErrorCells()
    for kind, at, length in _xlsb_records(bytes(data)):
        if kind == _BRT_ROW and length >= 4:
            row = struct.unpack_from("<I", data, at)[0] + 1
            rows = max(rows, row)
        elif kind in _BRT_CELLS and length >= 4:
            columns = max(columns, struct.unpack_from("<I", data, at)[0] + 1)
            if kind in _BRT_ERRORS:
                errors.add([row], 1)
    # Each record of a cell takes more in memory than XML of the same length.
    check_memory(rows, columns, 3 * len(data))
    return errors


def xlsb_sheet_ids(data: bytes) -> list[str]:
    """Relation ids of the sheets: BrtBundleSh is hsState, iTabID (4 bytes each), then the id, counted UTF-16."""
    found = []
    for kind, at, length in _xlsb_records(data):
        if kind == _BRT_SHEET and length >= 12:
            count = struct.unpack_from("<I", data, at + 8)[0]
            found.append(data[at + 12 : at + 12 + 2 * count].decode("utf-16-le", "replace"))
    return found
