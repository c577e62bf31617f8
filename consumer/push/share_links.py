"""Links to a page that shows a file, turned into links to the file itself.

Publishers paste what their browser shows: the page of a spreadsheet or of a file on a sharing site. Only links
whose direct form is a fixed rewriting of the URL are known here; anything else passes unchanged.
"""

import base64
import re
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit


def direct_url(url: str) -> str:
    """The URL of the file that the share link *url* shows; *url* itself when it is no known share link."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme.lower() not in ("http", "https"):
        return url
    for hosts, rewrite in _REWRITES:
        if re.fullmatch(hosts, host):
            return rewrite(parts) or url
    return url


def _github(parts: SplitResult) -> str | None:
    """`/raw/` redirects to the file wherever it lies; raw.githubusercontent.com has only the pointer of a file in LFS."""
    match = re.fullmatch(r"(/[^/]+/[^/]+)/blob/(.+)", parts.path)
    return f"https://github.com{match[1]}/raw/{match[2]}" if match else None


def _gist(parts: SplitResult) -> str | None:
    match = re.fullmatch(r"/([^/]+)/([0-9a-f]{20,})/?", parts.path)
    return f"https://gist.githubusercontent.com/{match[1]}/{match[2]}/raw" if match else None


def _gitlab(parts: SplitResult) -> str | None:
    return urlunsplit(parts._replace(path=parts.path.replace("/-/blob/", "/-/raw/", 1), fragment=""))


def _google_sheet(parts: SplitResult) -> str | None:
    """The sheet whose tab was open (`gid`, in the query or the fragment), else the first, as CSV."""
    sheet = (parse_qs(parts.query).get("gid") or parse_qs(parts.fragment).get("gid") or [""])[0]
    gid = {"gid": sheet} if sheet.isdigit() else {}
    if match := re.match(r"/spreadsheets/d/e/([\w-]+)/pubhtml", parts.path):
        query = urlencode({"output": "csv", **gid, **({"single": "true"} if gid else {})})
        return f"https://docs.google.com/spreadsheets/d/e/{match[1]}/pub?{query}"
    if match := re.fullmatch(r"/spreadsheets/(?:u/\d+/)?d/([\w-]{20,})(?:/(?:edit|view|htmlview|preview)?)?", parts.path):
        return f"https://docs.google.com/spreadsheets/d/{match[1]}/export?{urlencode({'format': 'csv', **gid})}"
    return None


def _google_drive(parts: SplitResult) -> str | None:
    """`confirm=t` answers the page that asks whether a file too large to be scanned for viruses is wanted."""
    match = re.match(r"/file/(?:u/\d+/)?d/([\w-]+)", parts.path)
    asked = parse_qs(parts.query).get("id", [""])[0] if parts.path in ("/open", "/uc") else ""
    file_id = match[1] if match else asked
    query = urlencode({"id": file_id, "export": "download", "confirm": "t"})
    return f"https://drive.usercontent.google.com/download?{query}" if file_id else None


def _dropbox(parts: SplitResult) -> str | None:
    return _with_query(parts, {"dl": "1"}) if re.match(r"/(s|scl/fi|sh|scl/fo)/", parts.path) else None


def _onedrive_short(parts: SplitResult) -> str | None:
    """OneDrive's sharing API takes the whole link, base64url without padding, after `u!`."""
    link = base64.urlsafe_b64encode(urlunsplit(parts).encode()).decode().rstrip("=")
    return f"https://api.onedrive.com/v1.0/shares/u!{link}/root/content"


def _onedrive_page(parts: SplitResult) -> str | None:
    if parts.path in ("/embed", "/redir", "/redir.aspx", "/view.aspx"):
        return urlunsplit(parts._replace(path="/download", fragment=""))
    return None


def _sharepoint(parts: SplitResult) -> str | None:
    return _with_query(parts, {"download": "1"}) if re.match(r"/:[a-z]:/", parts.path) else None


def _with_query(parts: SplitResult, changes: dict[str, str]) -> str:
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in changes]
    return urlunsplit(parts._replace(query=urlencode([*kept, *changes.items()]), fragment=""))


_REWRITES = (
    (r"(www\.)?github\.com", _github),
    (r"gist\.github\.com", _gist),
    (r"gitlab\.com", _gitlab),
    (r"docs\.google\.com", _google_sheet),
    (r"drive\.google\.com", _google_drive),
    (r"(www\.)?dropbox\.com", _dropbox),
    (r"1drv\.ms", _onedrive_short),
    (r"onedrive\.live\.com", _onedrive_page),
    (r"[\w-]+\.sharepoint\.com", _sharepoint),
)
