;; Traps in _initialize.
(module
  (memory (export "memory") 1)
  (func (export "inbox") (param i32) (result i32) (i32.const 8))
  (func (export "handle") (param i32) (result i32) (i32.const 0))
  (func $setup (export "_initialize") unreachable))
