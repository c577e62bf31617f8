"""The parts of a workbook, measured before calamine reads them (workbook_limits.py says why)."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from consumer.push.readers.ahead import ahead
from consumer.push.readers.error_cells import ErrorCells
from consumer.push.readers.inflating import inflated
from consumer.push.readers.ods_extent import measure_ods
from consumer.push.readers.workbook_limits import (
    INDEX_LIMIT_BYTES,
    MEMORY_LIMIT_BYTES,
    check_shared,
    check_size,
    corrupt,
)
from consumer.push.readers.xlsb_extent import measure_xlsb, xlsb_sheet_ids
from consumer.push.readers.xlsx_extent import measure_xlsx

#: Parts that calamine leaves alone, or that are measured by sheet.
_UNREAD = re.compile(r"/(worksheets|chartsheets|charts|drawings|media|embeddings|theme|printersettings)/|^docprops/")


class WorkbookParts:
    """The zip members of a workbook. Sizes are measured by inflating: the ones a zip file declares may be lies."""

    def __init__(self, path: Path, format: str) -> None:
        self._path = path
        self._format = format
        self._ods_errors: list[ErrorCells] = []  #: by sheet
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, UnicodeError) as error:
            raise corrupt(format) from error
        # Some programs write the separators of Windows.
        self._members = {info.filename.lower().replace("\\", "/"): info for info in self._zip.infolist()}
        if len(self._members) < len(self._zip.infolist()):
            raise corrupt(format)  # two parts of one name: readers disagree on which one counts

    def check_shared(self) -> None:
        """Measures what is read on opening. Raises FileError too-large or corrupt."""
        if self._format == "ODS":
            self._check_ods()
            return
        shared = [name for name in self._members if name.endswith((".xml", ".bin", ".rels")) and not _UNREAD.search(name)]
        done_bytes = 0
        for name in shared:
            for chunk in self._inflated(name):
                done_bytes += len(chunk)
                check_shared(done_bytes)

    def check_sheet(self, position: int) -> ErrorCells:
        """Measures the sheet at *position* of the workbook's list; -> the error cells (`#DIV/0!`) that it has.

        Raises FileError too-large or corrupt.
        """
        if self._format == "ODS":
            return self._ods_errors[position] if position < len(self._ods_errors) else ErrorCells()
        name = self._sheet_part(position)
        # Where the list of sheets leaves doubt, calamine may take any part for the sheet.
        names = [name] if name else [one for one in self._members if one.endswith((".xml", ".bin"))]
        errors = ErrorCells()
        for found in map(self._measure, names):
            errors.add(found.rows, found.count)
        return errors

    def _measure(self, name: str) -> ErrorCells:
        measure = measure_xlsb if name.endswith(".bin") else measure_xlsx
        return measure(lambda: ahead(self._inflated(name)))

    def _sheet_part(self, position: int) -> str | None:
        """The member that holds a sheet; None where the workbook is not clear about it."""
        relations = self._relations()
        ids = self._sheet_ids()
        target = relations.get(ids[position], "") if position < len(ids) else ""
        name = (target.lstrip("/") if target.startswith("/") else f"xl/{target}").lower()
        return name if name in self._members else None

    def _relations(self) -> dict[str, str]:
        name = "xl/_rels/workbook.bin.rels" if self._format == "XLSB" else "xl/_rels/workbook.xml.rels"
        found = [(node.get("Id", ""), node.get("Target", "")) for node in self._tree(name).iter() if node.get("Target")]
        return dict(found) if len(dict(found)) == len(found) else {}

    def _sheet_ids(self) -> list[str]:
        if self._format == "XLSB":
            return xlsb_sheet_ids(b"".join(self._inflated("xl/workbook.bin", INDEX_LIMIT_BYTES)))
        sheets = (node for node in self._tree("xl/workbook.xml").iter() if node.tag.rpartition("}")[2] == "sheet")
        return [
            next((value for key, value in node.attrib.items() if key.endswith("}id")), "")  # r:id, in any namespace
            for node in sheets
        ]

    def _tree(self, name: str) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(b"".join(self._inflated(name, INDEX_LIMIT_BYTES)))
        except (ElementTree.ParseError, LookupError, ValueError) as error:  # LookupError: an encoding nobody knows
            raise corrupt(self._format) from error

    def _inflated(self, name: str, limit_bytes: int | None = None) -> Iterator[bytes]:
        info = self._members.get(name)
        if info is None:
            raise corrupt(self._format)
        done_bytes = 0
        for chunk in inflated(self._zip, info, self._format):
            done_bytes += len(chunk)
            check_size(done_bytes, limit_bytes or 8 * MEMORY_LIMIT_BYTES, f"The part {name} of the workbook")
            yield chunk

    def _check_ods(self) -> None:
        if "content.xml" not in self._members:
            raise corrupt(self._format)
        self._ods_errors = measure_ods(self._inflated("content.xml"))
