"""MkDocs calls these while it builds the site: they add the pages that are made from the code."""

import json
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import notebook
import pages

NOTEBOOK = "notebooks/quickstart.ipynb"
STATUS_MARK = "<!-- status -->"


def on_files(files: Files, config) -> Files:
    """Adds the API reference, the changelog, the guide to contributing and the notebook as pages."""
    made = {"api/index.md": pages.api_index(), "api/plmjax.md": pages.package_page()}
    made |= {f"api/{room}.md": pages.api_page(room) for room in pages.rooms()}
    made["changelog.md"] = for_site((pages.ROOT / "CHANGELOG.md").read_text())
    made["contributing.md"] = for_site((pages.ROOT / "CONTRIBUTING.md").read_text())
    cells = json.loads((Path(config.docs_dir) / NOTEBOOK).read_text())["cells"]
    text, pictures = notebook.as_markdown(cells)
    made[NOTEBOOK.replace(".ipynb", ".md")] = text
    made |= {f"notebooks/{name}": data for name, data in pictures.items()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Fills in the table of what is measured."""
    return markdown.replace(STATUS_MARK, pages.status_table())


def for_site(text: str) -> str:
    """A page of the repository's root with its links to docs/ as the site has them."""
    return text.replace("](docs/", "](")
