"""The POSIX shell scripts that provision a host; every value is a positional parameter."""

from __future__ import annotations

PROBE = r"""
base="${XDG_CACHE_HOME:-$HOME/.cache}/kubewire/hosts"
echo "base=$base"
echo "system=$(uname -s)"
echo "machine=$(uname -m)"
for python in "$3" python3 python3.11 python3.12 python3.13 python3.14; do
  found=$(command -v "$python" 2>/dev/null) || continue
  minor=$("$found" -c 'import sys; v = sys.version_info; print("%d.%d" % v[:2] if v >= (3, 11) else "")')
  echo "seen=$found"
  [ -n "$minor" ] || continue
  echo "python=$found"
  echo "minor=$minor"
  [ -e "$base/packages-$2-$minor/done" ] && echo "packages=yes"
  break
done
[ -x "$base/kubewire-$1/bin/python" ] && echo "kubewire=yes"
exit 0
"""
"""$1 kubewire's digest, $2 the lock's, $3 a Python to try first → `key=value` lines."""

UNPACK = r"""
set -eu
umask 077
mkdir -p "$1"
tar -xzf - -C "$1"
"""
"""$1 a folder; the archive comes on standard input."""

INSTALL = r"""
set -u
umask 022
work="$1" target="$2" python="$3"; shift 3
rm -rf "$target.part"
"$python" "$work/pip.zip/pip" install --quiet --disable-pip-version-check --no-input --retries 1 \
  --timeout 15 --root-user-action ignore --no-warn-script-location --no-compile \
  --only-binary :all: --require-hashes -r "$work/runtime.txt" --target "$target.part/site-packages" \
  "$@" </dev/null || exit 1
touch "$target.part/done"
rm -rf "$target"
mv "$target.part" "$target"
"""
"""$1 the folder with pip.zip and runtime.txt, $2 the target, $3 Python; further parameters are pip's.

The node agent finds a pod's Python packages by the name site-packages.
"""

FINISH = r"""
set -eu
umask 022
base="$1" digest="$2" packages="$3" python="$4"
target="$base/kubewire-$digest"
part="$target.part$$"
trap 'rm -rf "$part"' EXIT
"$python" -m venv --without-pip "$part"
site=$(echo "$part"/lib/python3*/site-packages)
tar -xzf - -C "$site"
echo "$packages/site-packages" > "$site/packages.pth"
if ! mv -T "$part" "$target" 2>/dev/null; then [ -x "$target/bin/python" ]; fi
"""
"""$1 base folder, $2 kubewire's digest, $3 the packages' folder, $4 Python; the archive on standard input."""

RECEIVE = r"""
set -eu
umask 077
mkdir -p "$1"
cat > "$1/$2"
"""
"""$1 a folder, $2 a file's name; its content comes on standard input."""

PACKAGES = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
install() { apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" </dev/null; }
install "$@" || { apt-get update -q && install "$@"; }
"""
"""$@ the names of Debian packages."""
