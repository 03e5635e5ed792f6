;; A chain of calls that ends in a trap, with names for everything.
(module $chain
  (import "env" "pass" (func $pass (param i32) (result i32)))
  (table funcref (elem $last))
  (func $last (param $value i32) (result i32) (local $twice i32)
    (local.set $twice (i32.mul (local.get $value) (i32.const 2)))
    (i32.div_u (local.get $twice) (i32.const 0)))
  (func $middle (param $value i32) (result i32)
    (loop $again (result i32)
      (br_if $again (i32.const 0))
      (call_indirect (param i32) (result i32) (local.get $value) (i32.const 0))))
  (func $first (export "first") (param $value i32) (result i32)
    (call $middle (call $pass (local.get $value)))))
