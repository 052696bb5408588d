"""Writes which objective runs on which network, from the objectives' own checks.

python docs/tools/matrix.py            # writes docs/reference/matrix.md
python docs/tools/matrix.py --check    # exit status 1 where the page is out of date
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "matrix.md"
INTRODUCTION = """# Networks and objectives

Any network runs under any objective that its kind can carry, at the size of the small runs, by
`--config=combine.py:NETWORK+OBJECTIVE`. What does not fit is refused in one sentence when the configuration is read.
This page is made by `python docs/tools/matrix.py`.
"""
END = """
For ELECTRA's objectives an encoder is made a pair with a generator of half its layers; for distillation it becomes the
student of `runs/bert_teacher`.
"""


def page() -> str:
    """The page as it should be."""
    sys.path.insert(0, str(ROOT))  # also where plmjax alone is installed
    from experiments.configs import combine

    return f"{INTRODUCTION}\n{combine.table()}\n{END}"


def main() -> None:
    text = page()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text() == text else f"{PAGE} is out of date: python docs/tools/matrix.py")
    PAGE.write_text(text)
    print(f"{text.count(chr(10))} lines; page: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
