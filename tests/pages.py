"""Reading a page of HTML in tests: its elements, its tables, and whether it is well made."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "br", "input"}


@dataclass
class Element:
    """One element: its name, attributes, text of its own and below, and what is inside."""

    name: str
    attrs: dict[str, str]
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def all(self, *names: str) -> list[Element]:
        """Elements inside, in their order; all, or those of some names."""
        found = []
        for child in self.children:
            if not names or child.name in names:
                found.append(child)
            found += child.all(*names)
        return found

    def one(self, ident: str) -> Element:
        """The element with an id."""
        (found,) = [e for e in self.all() if e.attrs.get("id") == ident]
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.parts.append(data)


def read(html: str) -> Element:
    """The document, checked for tags that do not close as they opened."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].name}> is not closed"
    return reader.open[0]


def tables(page: Element) -> dict[str, list[list[str]]]:
    """Rows of each table by its caption's id; the heads are among them."""
    found = {}
    for table in page.all("table"):
        (caption,) = table.all("caption")
        found[caption.attrs["id"]] = [
            [cell.text for cell in row.children] for row in table.all("tr")
        ]
    return found


def assert_well_made(html: str) -> None:
    """What a valid, accessible page that needs nothing from elsewhere has."""
    assert html.startswith("<!DOCTYPE html>\n")
    page = read(html)
    everything = page.all()
    (root,) = page.children
    assert root.attrs["lang"] == "en"
    assert [e.name for e in root.children] == ["head", "body"]
    assert not [e.name for e in everything if e.name in ("script", "iframe", "object", "form")]

    ids = [e.attrs["id"] for e in everything if "id" in e.attrs]
    assert len(ids) == len(set(ids))
    for e in everything:
        for name in ("aria-labelledby", "for"):
            assert e.attrs.get(name, ids[0]) in ids
        if e.name == "a":
            assert e.attrs["href"].removeprefix("#") in ids
        for name in ("src", "href", "srcset", "action", "style"):
            if name in e.attrs:
                assert re.match(r"data:|#", e.attrs[name]), e.attrs[name][:80]
    for style in page.all("style"):
        assert not re.search(r"url\(|@import|https?:", style.text)

    levels = [int(e.name[1]) for e in everything if re.fullmatch("h[1-6]", e.name)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), levels

    for table in page.all("table"):
        inside = [c.name for c in table.children]
        assert inside in (["caption", "thead", "tbody"], ["caption", "tbody"])
        assert table.children[0].text.strip()
        assert all(th.attrs.get("scope") and th.text.strip() for th in table.all("th"))
        rows = table.all("tr")
        widths = {sum(int(c.attrs.get("colspan", 1)) for c in row.children) for row in rows}
        assert len(widths) == 1, widths
        for row in table.children[-1].children:
            assert row.children[0].name == "th"
            assert row.children[0].attrs["scope"] == "row"
    for image in page.all("img"):
        assert len(image.attrs["alt"]) > 40
        assert image.attrs["alt"].endswith(".")
        assert int(image.attrs["width"]) > 100
        assert int(image.attrs["height"]) > 100
    for picture in page.all("figure"):
        assert picture.all("figcaption")[0].text.strip()
