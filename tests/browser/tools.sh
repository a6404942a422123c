#!/usr/bin/env bash
# tools.sh FOLDER PYTHON: fetch what the browser tests need, and say plainly what could not be had.
# Chromium, Java and npm come from Debian, Playwright from pip, axe-core (MPL-2.0) and vnu (MIT, a jar) from npm; no
# browser is downloaded. Prints `required` where all is there, `partial` without axe or vnu; without Chromium it fails.
set -euo pipefail
folder=$1 python=$2
axe=axe-core@4.14.1 vnu=vnu-jar@26.9.27

browser() { command -v chromium || command -v google-chrome; }
missing=()  # only what is not here: Debian's npm does not stand beside another Node.js
browser > /dev/null || missing+=(chromium)
command -v java > /dev/null || missing+=(default-jre-headless)
command -v npm > /dev/null || missing+=(npm)
if ((${#missing[@]})); then
  { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >&2 || true
fi
browser > /dev/null || { echo "NO BROWSER: chromium is not here and apt-get could not install it; nothing was looked at" >&2; exit 1; }
"$python" -c 'import playwright' 2> /dev/null ||
  "$python" -m pip install --quiet --constraint constraints.txt --editable '.[browser]' >&2

if [ "$(cat "$folder/.installed" 2> /dev/null)" != "$axe $vnu" ]; then
  if npm install --silent --no-save --ignore-scripts --no-audit --no-fund --fetch-retries 1 --prefix "$folder" "$axe" "$vnu" >&2
  then echo "$axe $vnu" > "$folder/.installed"
  else echo "NOT CHECKED: $axe and $vnu could not be fetched from npm; accessibility rules and HTML go unchecked" >&2
  fi
fi
[ -f "$folder/.installed" ] && command -v java > /dev/null && echo required || echo partial
