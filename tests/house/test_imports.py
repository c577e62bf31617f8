"""Who may import whom (docs/architecture.md); read from the source, so that lazy imports count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "publisher", "consumer", "gateway", "sandbox")
#: What of ours each package may import besides itself.
ALLOWED = {
    "schemas": set[str](),
    "publisher": {"schemas"},
    "consumer": {"schemas", "publisher"},
    "gateway": {"schemas", "publisher"},
    "sandbox": {"schemas"},
}
#: Libraries that one file owns.
OWNED = {
    "pika": {"publisher/rabbitmq.py"},
    "kombu": {"publisher/client.py", "publisher/endings.py", "publisher/kombu_connection.py"},
    "xlrd": {"consumer/push/readers/xls.py"},
}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that *path* imports, at the top or inside functions; not those for the type checker."""
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from _running(node)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    names = {module(path) for path in sources()}
    return {module(path): (set(imports(path)) & names) - {module(path)} for path in sources()}


def test_packages_import_only_what_lies_below_them() -> None:
    for path in sources():
        package = path.relative_to(ROOT).parts[0]
        ours = {name.split(".")[0] for name in imports(path)} & {*PACKAGES, "datapusher"}
        assert ours <= ALLOWED[package] | {package}, f"{path.relative_to(ROOT)} imports {ours}"


def test_there_is_no_import_cycle() -> None:
    edges, seen = graph(), dict[str, str]()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert seen.get(name) != "open", f"cycle: {' -> '.join((*trail, name))}"
        if name not in seen:
            seen[name] = "open"
            for other in sorted(edges[name]):
                visit(other, (*trail, name))
            seen[name] = "done"

    for name in edges:
        visit(name, ())


def test_each_owned_library_has_one_home() -> None:
    for path in sources():
        used = {name.split(".")[0] for name in imports(path)}
        for library in used & set(OWNED):
            assert str(path.relative_to(ROOT)) in OWNED[library], f"{path} imports {library}"


def test_settings_come_from_one_place() -> None:
    """sandbox/demo.py hands the environment to the process it starts, and reads nothing in it."""
    allowed = {ROOT / "schemas/settings.py", ROOT / "sandbox/demo.py"}
    assert not [path for path in sources() if "os.environ" in path.read_text() and path not in allowed]
