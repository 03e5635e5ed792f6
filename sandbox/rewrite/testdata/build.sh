#!/bin/sh
# Rebuilds the fixtures in this folder with wabt's wat2wasm; see loops/build.sh for those of the benchmark.
set -eu
cd "$(dirname "$0")"
wat2wasm --enable-tail-call endless.wat -o endless.wasm
wat2wasm state.wat -o state.wasm
wat2wasm --debug-names names.wat -o names.wasm
