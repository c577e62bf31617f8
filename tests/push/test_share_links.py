import pytest

from consumer.push.share_links import direct_url

SHEET = "https://docs.google.com/spreadsheets/d/1AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM0123"
DRIVE = "https://drive.usercontent.google.com/download?id=0Bx_y-z&export=download&confirm=t"


@pytest.mark.parametrize(
    ("link", "direct"),
    [
        ("https://github.com/o/r/blob/main/a/b c.csv", "https://github.com/o/r/raw/main/a/b c.csv"),
        ("https://github.com/o/r/blob/v1/x.csv?raw=true#L1", "https://github.com/o/r/raw/v1/x.csv"),
        ("https://gitlab.com/g/s/r/-/blob/main/x.csv#L1", "https://gitlab.com/g/s/r/-/raw/main/x.csv"),
        (f"{SHEET}/edit#gid=42", f"{SHEET}/export?format=csv&gid=42"),
        (f"{SHEET}/edit?gid=42#gid=42", f"{SHEET}/export?format=csv&gid=42"),
        (f"{SHEET}/edit?usp=sharing", f"{SHEET}/export?format=csv"),
        (
            "https://docs.google.com/spreadsheets/d/e/2PACX-1v/pubhtml?gid=7&single=true",
            "https://docs.google.com/spreadsheets/d/e/2PACX-1v/pub?output=csv&gid=7&single=true",
        ),
        ("https://drive.google.com/file/d/0Bx_y-z/view?usp=sharing", DRIVE),
        ("https://drive.google.com/open?id=0Bx_y-z", DRIVE),
        ("https://www.dropbox.com/s/abc/x.csv?dl=0", "https://www.dropbox.com/s/abc/x.csv?dl=1"),
        (
            "https://www.dropbox.com/scl/fi/abc/x.csv?rlkey=k&dl=0",
            "https://www.dropbox.com/scl/fi/abc/x.csv?rlkey=k&dl=1",
        ),
        (
            "https://1drv.ms/x/s!AbC",
            "https://api.onedrive.com/v1.0/shares/u!aHR0cHM6Ly8xZHJ2Lm1zL3gvcyFBYkM/root/content",
        ),
        ("https://onedrive.live.com/embed?resid=A%211&authkey=k", "https://onedrive.live.com/download?resid=A%211&authkey=k"),
        ("https://x.sharepoint.com/:x:/g/abc?e=1", "https://x.sharepoint.com/:x:/g/abc?e=1&download=1"),
    ],
)
def test_a_share_link_becomes_the_files_own(link: str, direct: str) -> None:
    assert direct_url(link) == direct


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/github.com/o/r/blob/main/x.csv",
        "https://github.com/o/r",
        "https://github.com/o/r/raw/v1/x.csv",
        "https://github.com/o/r/releases/download/v1/x.csv",
        "https://raw.githubusercontent.com/o/r/main/x.csv",
        f"{SHEET}/export?format=xlsx",
        "https://docs.google.com/document/d/abc/edit",
        "https://notgithub.com/o/r/blob/main/x.csv",
        "ftp://github.com/o/r/blob/main/x.csv",
    ],
)
def test_other_links_stay_as_they_are(link: str) -> None:
    assert direct_url(link) == link
