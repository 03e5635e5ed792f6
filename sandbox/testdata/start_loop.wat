;; Loops in the start section, before any function is called.
(module
  (memory (export "memory") 1)
  (func (export "inbox") (param i32) (result i32) (i32.const 8))
  (func (export "handle") (param i32) (result i32) (i32.const 0))
  (func $spin (loop $again (br $again)))
  (start $spin))
