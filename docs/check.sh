#!/usr/bin/env bash
# The documentation, checked as continuous integration does: pip install -e '.[docs]', then docs/check.sh [SITE_FOLDER].
set -euo pipefail
cd "$(dirname "$0")/.."
export NO_MKDOCS_2_WARNING=1

python docs/tools/architecture.py --check
python docs/tools/matrix.py --check
if [ $# -gt 0 ]; then
  mkdocs build --strict --site-dir "$(realpath -m "$1")"
else
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  mkdocs build --strict --site-dir "$scratch"
fi
python docs/tools/notebook.py
