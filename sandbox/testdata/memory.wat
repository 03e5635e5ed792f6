;; A guest for tests of how much memory guests take, and how long at a time. The
;; first byte of a message's payload says what it does, a number of four bytes behind
;; it how much. It replies with a number of four bytes. Of its 32 MiB, those from the
;; third page on are content.
(module $memory
  (import "rtd_v1" "op" (func $op (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (memory (export "memory") 512)
  (data (i32.const 32) "\01\01\01\00" "\02\00\00\00ok" "\04\00\00\00")  ;; reply "ok" with four binary bytes
  (data (i32.const 64) "deep\n")
  (data (i32.const 80) "\40\00\00\00" "\05\00\00\00")  ;; a vector: deep
  (global $inbox i32 (i32.const 65536))
  (global $content i32 (i32.const 131072))
  (global $large i32 (i32.const 0x1fe0000))  ;; size of the content

  (func (export "inbox") (param $size i32) (result i32) (global.get $inbox))

  (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))

  ;; Calls itself n times, says so, and returns n.
  (func $recurse (param $n i32) (result i32)
    (if (i32.eqz (local.get $n))
      (then (drop (call $fd_write (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 112))) (return (i32.const 0))))
    (i32.add (i32.const 1) (call $recurse (i32.sub (local.get $n) (i32.const 1)))))

  ;; Fills what is from there on with bytes that do not compress.
  (func $noise (param $at i32) (param $n i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (call $end)))
        (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 1664525)) (i32.const 1013904223)))
        (i32.store (local.get $at) (i32.xor (local.get $n) (i32.shr_u (local.get $n) (i32.const 15))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next))))

  ;; Writes to every page, n times.
  (func $touch (param $n i32)
    (local $at i32)
    (loop $again
      (local.set $at (global.get $content))
      (loop $next
        (i32.store (local.get $at) (local.get $n))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $next (i32.lt_u (local.get $at) (call $end))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

  (func $fill (memory.fill (global.get $content) (i32.const 1) (global.get $large)))
  (func $copy
    (memory.copy (i32.add (global.get $content) (i32.const 1)) (global.get $content)
      (i32.sub (global.get $large) (i32.const 1))))

  (func $do (param $what i32) (param $n i32) (result i32)
    (local $was i32)
    (if (i32.eq (local.get $what) (i32.const 0x67))  ;; g: grow by so many pages of noise; -1 if that fails
      (then
        (local.set $was (memory.grow (local.get $n)))
        (if (i32.ne (local.get $was) (i32.const -1))
          (then (call $noise (i32.mul (local.get $was) (i32.const 65536)) (local.get $was))))
        (return (local.get $was))))
    (if (i32.eq (local.get $what) (i32.const 0x6c))  ;; l: the last word of the memory
      (then (return (i32.load (i32.sub (call $end) (i32.const 4))))))
    (if (i32.eq (local.get $what) (i32.const 0x74))  ;; t: touch
      (then (call $touch (local.get $n)) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x61))  ;; a: grow by so many pages and touch all
      (then (drop (memory.grow (local.get $n))) (call $touch (i32.const 1)) (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x64))  ;; d: so deep
      (then (return (call $recurse (local.get $n)))))
    (if (i32.eq (local.get $what) (i32.const 0x66))  ;; f: fill, eight times in a line
      (then (call $fill) (call $fill) (call $fill) (call $fill) (call $fill) (call $fill) (call $fill) (call $fill)
        (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x63))  ;; c: copy, eight times in a line
      (then (call $copy) (call $copy) (call $copy) (call $copy) (call $copy) (call $copy) (call $copy) (call $copy)
        (return (i32.const 0))))
    (if (i32.eq (local.get $what) (i32.const 0x72))  ;; r: random numbers
      (then (return (call $random_get (global.get $content) (global.get $large)))))
    unreachable)

  (func (export "handle") (param $size i32) (result i32)
    (local $payload i32)
    (if (i32.ne (i32.load16_u (global.get $inbox)) (i32.const 3)) (then (return (i32.const 0))))
    (local.set $payload
      (i32.add (i32.const 12) (i32.add (global.get $inbox) (i32.load offset=4 (global.get $inbox)))))
    (i32.store (i32.const 46)
      (call $do (i32.load8_u (local.get $payload)) (i32.load offset=1 (local.get $payload))))
    (call $op (i32.const 32) (i32.const 18) (i32.const 0) (i32.const 0))))
