"""`python -m docs.generator`: writes the generated pages anew."""

from docs.generator.pages import DOCS, MEASURED, PAGES

for name, page in {**PAGES, **MEASURED}.items():
    (DOCS / name).write_text(page(), "utf-8")
    print(f"docs/{name}")
