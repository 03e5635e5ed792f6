;; The smallest guest that is of use: it serves "echo:*" and answers each
;; message with the message's own payload.
(module
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)

  (data (i32.const 0) "\05\01\00\00" "\06\00\00\00echo:*")  ;; handles "echo:*"
  (data (i32.const 32) "\01\01\00\00" "\02\00\00\00ok")     ;; reply "ok", and its payload is put behind
  (global $reply i32 (i32.const 32))
  (global $reply_head i32 (i32.const 10))
  (global $inbox i32 (i32.const 65536))

  (func (export "inbox") (param $size i32) (result i32)
    (select (global.get $inbox) (i32.const 0) (i32.le_u (local.get $size) (i32.const 65000))))

  (func $handle (export "handle") (param $size i32) (result i32)
    (local $payload i32) (local $length i32)
    (if (i32.eq (i32.load16_u (global.get $inbox)) (i32.const 0x001))  ;; start
      (then (return (call $op (i32.const 0) (i32.const 14) (i32.const 0) (i32.const 0)))))
    ;; The payload is a length and bytes, behind the header and the name.
    (local.set $payload
      (i32.add (i32.const 8) (i32.add (global.get $inbox) (i32.load offset=4 (global.get $inbox)))))
    (local.set $length (i32.add (i32.const 4) (i32.load (local.get $payload))))
    (memory.copy
      (i32.add (global.get $reply) (global.get $reply_head))
      (local.get $payload)
      (local.get $length))
    (call $op (global.get $reply) (i32.add (global.get $reply_head) (local.get $length)) (i32.const 0) (i32.const 0))))
