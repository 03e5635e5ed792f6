;; A guest that survives being told to collect its garbage once. It answers each message with how often it was told.
(module
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)

  (data (i32.const 0) "\05\01\00\00" "\08\00\00\00settle:*")            ;; handles "settle:*"
  (data (i32.const 32) "\01\01\00\00" "\02\00\00\00ok" "\01\00\00\000")  ;; reply "ok", and a digit
  (global $inbox i32 (i32.const 65536))
  (global $told i32 (i32.const 46))

  (func (export "inbox") (param $size i32) (result i32) (global.get $inbox))

  (func (export "handle") (param $size i32) (result i32)
    (if (i32.eq (i32.load16_u (global.get $inbox)) (i32.const 0x001))  ;; start
      (then (return (call $op (i32.const 0) (i32.const 16) (i32.const 0) (i32.const 0)))))
    (if (i32.eq (i32.load16_u (global.get $inbox)) (i32.const 0x004))  ;; idle
      (then
        (i32.store8 (global.get $told) (i32.add (i32.load8_u (global.get $told)) (i32.const 1)))
        (if (i32.eq (i32.load8_u (global.get $told)) (i32.const 0x32)) (then (unreachable)))
        (return (i32.const 0))))
    (call $op (i32.const 32) (i32.const 15) (i32.const 0) (i32.const 0))))
