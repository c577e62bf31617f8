#!/bin/sh
# make-venv.sh PYTHON FOLDER: a virtual environment where `python -m venv` alone cannot make one (Debian without python3-venv).
set -eu
python=$1 folder=$2
rm -rf "$folder"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null && apt-get install -y -qq python3-venv >/dev/null && "$python" -m venv "$folder" && exit 0
fi
"$python" -m virtualenv "$folder" 2>/dev/null && exit 0
"$python" -m venv --without-pip "$folder" 2>/dev/null || {
    echo "This Python cannot make a virtual environment. Install it: sudo apt-get install python3-venv" >&2
    exit 1
}
if "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip --python "$folder/bin/python" install --quiet pip setuptools && exit 0
fi
rm -rf "$folder"
echo "This Python has neither ensurepip nor pip. Install it: sudo apt-get install python3-venv" >&2
exit 1
