"""A page as tests look at it: its text, links, forms and elements; read with the parser of the standard library."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

#: Elements without an end.
VOID = frozenset({"meta", "link", "input", "br", "img", "hr", "rect", "line", "path"})


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    label: str = ""


class Page(HTMLParser):
    def __init__(self, html: str, url: str) -> None:
        super().__init__()
        self.html = html
        self.url = url
        #: (name, attributes) of every element, in order.
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self._open: list[str] = []
        self._pieces: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    @property
    def text(self) -> str:
        """What a reader sees, each run of white space as one blank."""
        return " ".join("".join(self._pieces).split())

    @property
    def links(self) -> list[str]:
        """Addresses of other pages."""
        return [
            urljoin(self.url, attributes["href"])
            for name, attributes in self.elements
            if name == "a" and attributes["href"][0] != "#"
        ]

    def form(self, label: str) -> Form:
        found = [form for form in self.forms if label in form.label]
        assert found, f"no form {label!r}: {[form.label for form in self.forms]}"
        return found[0]

    def has_button(self, label: str) -> bool:
        return any(label in form.label for form in self.forms)

    def count(self, name: str, kind: str) -> int:
        """Elements of this name and class."""
        return sum(1 for each, attributes in self.elements if each == name and kind in attributes.get("class", "").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._pieces.append(" ")
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "form":
            self.forms.append(Form(urljoin(self.url, attributes.get("action", ""))))
        elif tag == "input" and "form" in self._open and attributes.get("name"):
            self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-3:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "button" in self._open and "form" in self._open:
            self.forms[-1].label += data
        if not {"script", "style", "title"} & set(self._open):
            self._pieces.append(data)
