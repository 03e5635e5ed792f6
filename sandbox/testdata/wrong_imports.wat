;; Imports that rtd does not have, and one with another signature.
(module
  (import "env" "emscripten_notify" (func (param i32)))
  (import "wasi_snapshot_preview1" "fd_open" (func))
  (import "rtd_v1" "op" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "inbox") (param i32) (result i32) (i32.const 8))
  (func (export "handle") (param i32) (result i32) (i32.const 0)))
