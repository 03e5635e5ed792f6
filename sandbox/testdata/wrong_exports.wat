;; Exports of the right names and the wrong types, and none of a memory.
(module
  (memory (export "mem") 1)
  (global (export "inbox") i32 (i32.const 0))
  (func (export "handle") (param i64) (result i32) (i32.const 0))
  (func (export "_initialize") (result i32) (i32.const 0))
  (func (export "_start")))
