;; Loops as tight as one can write them. Every function takes how much to do.
(module
  (memory (export "memory") 16)

  ;; The tightest loop that there is: count down.
  (func (export "tightest") (param $n i32) (result i32)
    (loop $again
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $n))

  ;; A loop with a dependency: a linear congruential generator.
  (func (export "random") (param $n i32) (result i32) (local $x i32)
    (loop $again
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))

  ;; Reads memory word by word, again and again.
  (func (export "sweep") (param $n i32) (result i32) (local $p i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $p))))
      (local.set $p (i32.and (i32.add (local.get $p) (i32.const 4)) (i32.const 0xffffc)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  ;; Short loops in a long one.
  (func (export "nested") (param $n i32) (result i32) (local $i i32) (local $sum i32)
    (loop $outer
      (local.set $i (i32.const 4))
      (loop $inner
        (local.set $sum (i32.xor (local.get $sum) (i32.mul (local.get $i) (local.get $n))))
        (br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $outer (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  ;; Calls and nothing else.
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add
        (call $fib (i32.sub (local.get $n) (i32.const 1)))
        (call $fib (i32.sub (local.get $n) (i32.const 2)))))))

  ;; Short copies, as memcpy in compiled code.
  (func (export "copy") (param $n i32) (result i32)
    (loop $again
      (memory.copy (i32.const 1024) (i32.const 4096) (i32.const 24))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.load (i32.const 1024))))
