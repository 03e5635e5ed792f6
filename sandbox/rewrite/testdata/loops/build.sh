#!/bin/sh
# Rebuilds the fixtures. Needs wabt, clang and lld, and rustc with libstd-rust-dev-wasm32 (all in Debian), and
# AssemblyScript's asc (npm install assemblyscript) on the PATH or in $ASC. The Go guest is built by the tests.
set -eu
cd "$(dirname "$0")"
wat2wasm hand.wat -o hand.wasm
clang --target=wasm32 -O2 -fno-builtin -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 -o c.wasm loops.c
/usr/bin/rustc --target wasm32-unknown-unknown -O --crate-type cdylib -C strip=symbols -C panic=abort -o rust.wasm loops.rs
"${ASC:-asc}" loops.ts -O3 --runtime incremental --use abort= -o assemblyscript.wasm
