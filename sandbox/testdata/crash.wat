;; A guest that dies in the way that a digit says: the first byte of a message's
;; payload, or of the config in the start event. A second byte, from '1', says
;; what inbox does from then on.
(module $crash
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\02\02\00\00" "\00\00\00\00" "\0a\00\00\00on purpose")  ;; abort
  (data (i32.const 32) "\01\01\00\00" "\02\00\00\00ok" "\00\00\00\00")         ;; reply "ok"
  (data (i32.const 64) "\01\01\01\00" "\02\00\00\00ok" "\04\00\00\00")         ;; reply "ok" with four binary bytes
  (global $inbox i32 (i32.const 65536))
  (global $mode (mut i32) (i32.const 0))
  (type $way (func (result i32)))
  (table 64 funcref)
  (elem (i32.const 48)  ;; '0'
    $live $unreachable $bounds $divide $null $loop $recurse $grow $table $nonzero)
  (elem (i32.const 58)  ;; ':' and ';'
    $leave $abort)

  (func $live (type $way)
    (call $op (i32.const 32) (i32.const 14) (i32.const 0) (i32.const 0)))
  (func $unreachable (type $way) unreachable)
  (func $bounds (type $way) (i32.load (i32.const -1)))
  (func $divide (type $way) (i32.div_u (i32.const 1) (global.get $mode)))
  (func $null (type $way) (call_indirect (type $way) (i32.const 0)))
  (func $loop (type $way) (loop $again (br $again)) (i32.const 0))
  (func $recurse (type $way) (i32.add (i32.const 1) (call $recurse)))
  (func $grow (type $way)
    (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    unreachable)
  (func $table (type $way)  ;; replies with the size at which it ends
    (loop $again (br_if $again (i32.ne (table.grow 0 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (i32.store (i32.const 78) (table.size 0))
    (call $op (i32.const 64) (i32.const 18) (i32.const 0) (i32.const 0)))
  (func $nonzero (type $way) (i32.const 1))
  (func $leave (type $way) (call $exit (i32.const 3)) (i32.const 0))
  (func $abort (type $way)
    (call $op (i32.const 0) (i32.const 22) (i32.const 0) (i32.const 0)))

  (func (export "inbox") (param $size i32) (result i32)
    (block $default
      (block $loop
        (block $trap
          (block $straddle
            (block $far
              (block $refuse
                (br_table $default $refuse $far $straddle $trap $loop $default (global.get $mode)))
              (return (i32.const 0)))
            (return (i32.const 0xfffffff0)))
          (return (i32.const 0x1fffc)))
        unreachable)
      (loop $again (br $again)))
    (global.get $inbox))

  (func $handle (export "handle") (param $size i32) (result i32)
    (local $payload i32)
    (local.set $payload
      (i32.add (i32.const 8) (i32.add (global.get $inbox) (i32.load offset=4 (global.get $inbox)))))
    (if (i32.and
          (i32.eq (i32.load16_u (global.get $inbox)) (i32.const 0x003))  ;; message
          (i32.gt_u (i32.load (local.get $payload)) (i32.const 1)))
      (then (global.set $mode (i32.sub (i32.load8_u offset=5 (local.get $payload)) (i32.const 48)))))
    (call $dispatch (i32.load8_u offset=4 (local.get $payload))))

  (func $dispatch (param $way i32) (result i32)
    (if (i32.or (i32.lt_u (local.get $way) (i32.const 48)) (i32.gt_u (local.get $way) (i32.const 59)))
      (then (return (i32.const 0))))
    (call_indirect (type $way) (local.get $way))))
