;; Shares its memory. Build: wat2wasm --enable-threads
(module
  (memory (export "memory") 1 2 shared)
  (func (export "inbox") (param i32) (result i32) (i32.const 8))
  (func (export "handle") (param i32) (result i32) (i32.const 0)))
