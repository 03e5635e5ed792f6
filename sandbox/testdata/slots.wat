;; A guest for tests of slots. The first byte of a message's payload says what it
;; does, a number of four bytes behind it how much. It replies with a number of
;; four bytes. Pages from the third on are content.
(module $slots
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (data (i32.const 32) "\01\01\01\00" "\02\00\00\00ok" "\04\00\00\00")  ;; reply "ok" with four binary bytes
  (data (i32.const 64) "\03\01\00\00" "\04\00\00\00name" "\00\00\00\00")  ;; broadcast "name"
  (data (i32.const 96) "\00\00\02\00" "\00\00\01\00")  ;; a vector: the first 64 KiB of the content
  (global $inbox i32 (i32.const 65536))
  (global $content i32 (i32.const 131072))
  (global $idle (mut i32) (i32.const 0))  ;; what it does when it is told to collect
  (global $kept (mut i64) (i64.const 0))

  (func (export "inbox") (param $size i32) (result i32)
    (select (global.get $inbox) (i32.const 0) (i32.le_u (local.get $size) (i32.const 65000))))

  (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))

  (func $recurse (param $n i32) (result i32)
    (i32.add (i32.const 1) (call $recurse (i32.add (local.get $n) (i32.const 1)))))

  ;; Writes a number into each 1024 bytes of the content.
  (func $write (param $n i32)
    (local $at i32)
    (local.set $at (global.get $content))
    (global.set $kept (i64.extend_i32_u (local.get $n)))
    (loop $next
      (i32.store (local.get $at) (local.get $n))
      (local.set $at (i32.add (local.get $at) (i32.const 1024)))
      (br_if $next (i32.lt_u (local.get $at) (call $end)))))

  ;; The number that is everywhere in the content, or -1.
  (func $read (result i32)
    (local $at i32)
    (local.set $at (global.get $content))
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (global.get $kept))
        (then (return (i32.const -1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1024)))
      (br_if $next (i32.lt_u (local.get $at) (call $end))))
    (i32.wrap_i64 (global.get $kept)))

  ;; Fills 32 KiB with what does not compress.
  (func $noise (param $n i32)
    (local $at i32)
    (loop $next
      (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 1664525)) (i32.const 1013904223)))
      (i32.store (i32.add (global.get $content) (local.get $at)) (local.get $n))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 32768)))))

  (func $spin (param $n i32)
    (loop $next
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n))))

  (func $do (param $what i32) (param $n i32) (result i32)
    (if (i32.eq (local.get $what) (i32.const 0x67))  ;; g: grow, the new size
      (then (drop (memory.grow (local.get $n))) (return (memory.size))))
    (if (i32.eq (local.get $what) (i32.const 0x73))  ;; s: the size
      (then (return (memory.size))))
    (if (i32.eq (local.get $what) (i32.const 0x77))  ;; w: write
      (then (call $write (local.get $n)) (return (local.get $n))))
    (if (i32.eq (local.get $what) (i32.const 0x72))  ;; r: read
      (then (return (call $read))))
    (if (i32.eq (local.get $what) (i32.const 0x6e))  ;; n: noise
      (then (call $noise (local.get $n)) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x63))  ;; c: count
      (then (global.set $kept (i64.add (global.get $kept) (i64.const 1)))
            (return (i32.wrap_i64 (global.get $kept)))))
    (if (i32.eq (local.get $what) (i32.const 0x6c))  ;; l: loop, 0 for ever
      (then (call $spin (local.get $n)) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x69))  ;; i: from now on, when idle: 1 grow and trap, 2 recurse, 3 loop
      (then (global.set $idle (local.get $n)) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x6f))  ;; o: recurse without end
      (then (return (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $what) (i32.const 0x62))  ;; b: broadcast
      (then (drop (call $op (i32.const 64) (i32.const 16) (i32.const 0) (i32.const 0))) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x68))  ;; h: have the host work for ever
      (then
        (memory.fill (global.get $content) (i32.const 10) (i32.const 65536))
        (loop $next (br_if $next (i32.eqz (call $fd_write (i32.const 1) (i32.const 96) (i32.const 1) (i32.const 112)))))))
    unreachable)

  (func $collect (result i32)
    (if (i32.eqz (global.get $idle)) (then (return (i32.const 0))))
    (if (i32.eq (global.get $idle) (i32.const 2)) (then (return (call $recurse (i32.const 0)))))
    (if (i32.eq (global.get $idle) (i32.const 3)) (then (call $spin (i32.const 0))))
    (call $noise (i32.const 77))
    (drop (memory.grow (i32.const 2)))
    unreachable)

  (func (export "handle") (param $size i32) (result i32)
    (local $payload i32) (local $kind i32)
    (local.set $kind (i32.load16_u (global.get $inbox)))
    (if (i32.eq (local.get $kind) (i32.const 4)) (then (return (call $collect))))
    (if (i32.ne (local.get $kind) (i32.const 3)) (then (return (i32.const 0))))
    (local.set $payload
      (i32.add (i32.const 12) (i32.add (global.get $inbox) (i32.load offset=4 (global.get $inbox)))))
    (i32.store (i32.const 46)
      (call $do (i32.load8_u (local.get $payload)) (i32.load offset=1 (local.get $payload))))
    (call $op (i32.const 32) (i32.const 18) (i32.const 0) (i32.const 0))))
