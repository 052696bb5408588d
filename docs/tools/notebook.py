"""docs/notebooks/quickstart.ipynb as a page of the site, with the outputs that are stored in it; and its execution.

    python docs/tools/notebook.py            # runs it in an empty folder: fails where a cell fails
python docs/tools/notebook.py --write    # and stores the outputs
"""

import base64
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "quickstart.ipynb"
SECONDS = 900  # a cell may take


def as_markdown(cells: list[dict[str, Any]]) -> tuple[str, dict[str, bytes]]:
    """The notebook's text, code and outputs as Markdown, and its pictures by file name."""
    parts, pictures = [], {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"quickstart_{len(pictures)}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell above draws]({name})")
            elif text := "".join(output.get("text") or data.get("text/plain", "")).rstrip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n", pictures


def execute(path: Path) -> tuple[Any, float]:
    """The notebook with its outputs, run in an empty folder, and the seconds that it took."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}, coalesce_streams=True
        ).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day, which would change at each run
            for output in cell.get("outputs", ()):
                if "text" in output:
                    output["text"] = output["text"].replace(folder + "/", "")
    return notebook, time.monotonic() - began


def main() -> None:
    import nbformat

    notebook, seconds = execute(NOTEBOOK)
    print(f"{NOTEBOOK.name}: {len(notebook.cells)} cells, executed in {seconds:.0f} s")
    if "--write" in sys.argv[1:]:
        nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
