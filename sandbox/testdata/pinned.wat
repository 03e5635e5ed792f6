;; A guest whose state is not only memory and numbers: a message's first byte
;; says which other kind of state it changes. It replies with a digit.
(module $pinned
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 32) "\01\01\00\00" "\02\00\00\00ok" "\01\00\00\00" "?")  ;; reply "ok" with a digit
  (data $once "7")
  (global $inbox i32 (i32.const 65536))
  (global $vector (mut v128) (v128.const i32x4 0 0 0 0))
  (type $digit (func (result i32)))
  (table 1 funcref)
  (elem (i32.const 0) $zero)
  (elem declare func $one)

  (func $zero (type $digit) (i32.const 48))
  (func $one (type $digit) (i32.const 49))

  (func $in_vector (result i32)  ;; v: counts
    (global.set $vector (i32x4.add (global.get $vector) (v128.const i32x4 0 0 1 0)))
    (i32.add (i32.const 48) (i32x4.extract_lane 2 (global.get $vector))))

  (func $in_table (result i32)  ;; t: 0 once, then 1
    (call_indirect (type $digit) (i32.const 0))
    (table.set 0 (i32.const 0) (ref.func $one)))

  (func $in_segment (result i32)  ;; s: 7 once, then dies
    (memory.init $once (i32.const 0) (i32.const 0) (i32.const 1))
    (data.drop $once)
    (i32.load8_u (i32.const 0)))

  (func (export "inbox") (param $size i32) (result i32)
    (select (global.get $inbox) (i32.const 0) (i32.le_u (local.get $size) (i32.const 65000))))

  (func $do (param $what i32) (result i32)
    (if (i32.eq (local.get $what) (i32.const 0x76)) (then (return (call $in_vector))))
    (if (i32.eq (local.get $what) (i32.const 0x74)) (then (return (call $in_table))))
    (call $in_segment))

  (func (export "handle") (param $size i32) (result i32)
    (if (i32.ne (i32.load16_u (global.get $inbox)) (i32.const 3)) (then (return (i32.const 0))))
    (i32.store8 (i32.const 46)
      (call $do (i32.load8_u offset=12 (i32.add (global.get $inbox) (i32.load offset=4 (global.get $inbox))))))
    (call $op (i32.const 32) (i32.const 15) (i32.const 0) (i32.const 0))))
