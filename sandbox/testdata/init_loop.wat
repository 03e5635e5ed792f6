;; Loops in _initialize.
(module
  (memory (export "memory") 1)
  (func (export "inbox") (param i32) (result i32) (i32.const 8))
  (func (export "handle") (param i32) (result i32) (i32.const 0))
  (func $spin (export "_initialize") (loop $again (br $again))))
