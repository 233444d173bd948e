;; chunker-scan.wat: the inner loop of chunker.ts in WebAssembly with 128-bit vectors. scripts/build-chunker.mjs turns it into chunker-scan.ts.
;;
;; For the byte at position i it computes  h(i) = sum over k = 0 .. 31 of byte(i - k) * 2^k  (mod 2^32),
;; sixteen positions a round, by doubling the window: 2 bytes, 4, 8 in lanes of 16 bits (8 bytes sum up to 255 * 255,
;; which just fits), 16 and 32 in lanes of 32 bits, where the earlier windows are vectors of the rounds before.
;; A candidate is a position whose  h(i) * K + C, taken as signed, is less than the threshold.
;;
;; Writes pairs (position - start, h(i) * K + C) from address $out on and returns how many. The 49 bytes before $start are read:
;; the caller has put there what precedes, or zeros. Addresses 0 to 63 are scratch.
(module
  (memory (export "memory") 10)
  (func (export "scan") (param $p i32) (param $end i32) (param $threshold i32) (param $out i32) (result i32)
    (local $start i32) (local $k v128) (local $c v128) (local $t v128) (local $first i32) (local $i i32)
    (local $b2 v128) (local $b2p v128) (local $b4 v128) (local $b4p v128) (local $b8 v128)
    (local $al v128) (local $ah v128) (local $bl v128) (local $bh v128)
    (local $xal v128) (local $xah v128) (local $xbl v128) (local $xbh v128)
    (local $h0 v128) (local $h1 v128) (local $h2 v128) (local $h3 v128)
    (local.set $start (local.get $p))
    (local.set $first (local.get $out))
    (local.set $k (i32x4.splat (i32.const 0x9E3779B1)))
    (local.set $c (i32x4.splat (i32.const 0x6A09E667)))
    (local.set $t (i32x4.splat (local.get $threshold)))
    ;; two steps of 16 bytes before the start fill the window
    (local.set $p (i32.sub (local.get $p) (i32.const 32)))
    (loop $next
      ;; half A
      (local.set $b2p (local.get $b2))
      (local.set $b2 (i16x8.add (v128.load8x8_u (local.get $p))
        (i16x8.shl (v128.load8x8_u offset=0 (i32.sub (local.get $p) (i32.const 1))) (i32.const 1))))
      (local.set $b4p (local.get $b4))
      (local.set $b4 (i16x8.add (local.get $b2)
        (i16x8.shl (i8x16.shuffle 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 (local.get $b2p) (local.get $b2)) (i32.const 2))))
      (local.set $b8 (i16x8.add (local.get $b4)
        (i16x8.shl (i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 (local.get $b4p) (local.get $b4)) (i32.const 4))))
      (local.set $al (i32x4.extend_low_i16x8_u (local.get $b8)))
      (local.set $ah (i32x4.extend_high_i16x8_u (local.get $b8)))
      (local.set $bl (i32x4.add (local.get $al) (i32x4.shl (local.get $bl) (i32.const 8))))
      (local.set $bh (i32x4.add (local.get $ah) (i32x4.shl (local.get $bh) (i32.const 8))))
      (local.set $h0 (i32x4.add (i32x4.mul (i32x4.add (local.get $bl) (i32x4.shl (local.get $xal) (i32.const 16))) (local.get $k)) (local.get $c)))
      (local.set $h1 (i32x4.add (i32x4.mul (i32x4.add (local.get $bh) (i32x4.shl (local.get $xah) (i32.const 16))) (local.get $k)) (local.get $c)))
      (local.set $xal (local.get $bl))
      (local.set $xah (local.get $bh))
      ;; half B
      (local.set $b2p (local.get $b2))
      (local.set $b2 (i16x8.add (v128.load8x8_u offset=8 (local.get $p))
        (i16x8.shl (v128.load8x8_u offset=7 (local.get $p)) (i32.const 1))))
      (local.set $b4p (local.get $b4))
      (local.set $b4 (i16x8.add (local.get $b2)
        (i16x8.shl (i8x16.shuffle 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 (local.get $b2p) (local.get $b2)) (i32.const 2))))
      (local.set $b8 (i16x8.add (local.get $b4)
        (i16x8.shl (i8x16.shuffle 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 (local.get $b4p) (local.get $b4)) (i32.const 4))))
      (local.set $bl (i32x4.extend_low_i16x8_u (local.get $b8)))
      (local.set $bh (i32x4.extend_high_i16x8_u (local.get $b8)))
      (local.set $al (i32x4.add (local.get $bl) (i32x4.shl (local.get $al) (i32.const 8))))
      (local.set $ah (i32x4.add (local.get $bh) (i32x4.shl (local.get $ah) (i32.const 8))))
      (local.set $h2 (i32x4.add (i32x4.mul (i32x4.add (local.get $al) (i32x4.shl (local.get $xbl) (i32.const 16))) (local.get $k)) (local.get $c)))
      (local.set $h3 (i32x4.add (i32x4.mul (i32x4.add (local.get $ah) (i32x4.shl (local.get $xbh) (i32.const 16))) (local.get $k)) (local.get $c)))
      (local.set $xbl (local.get $al))
      (local.set $xbh (local.get $ah))
      (if (v128.any_true (i32x4.lt_s (i32x4.min_s (i32x4.min_s (local.get $h0) (local.get $h1)) (i32x4.min_s (local.get $h2) (local.get $h3))) (local.get $t)))
        (then
          (if (i32.ge_u (local.get $p) (local.get $start)) (then
          (v128.store (i32.const 0) (local.get $h0)) (v128.store (i32.const 16) (local.get $h1))
          (v128.store (i32.const 32) (local.get $h2)) (v128.store (i32.const 48) (local.get $h3))
          (local.set $i (i32.const 0))
          (loop $lane
            (if (i32.and (i32.lt_s (i32.load (i32.shl (local.get $i) (i32.const 2))) (local.get $threshold))
                         (i32.lt_u (i32.add (local.get $p) (local.get $i)) (local.get $end)))
              (then
                (i32.store (local.get $out) (i32.sub (i32.add (local.get $p) (local.get $i)) (local.get $start)))
                (i32.store offset=4 (local.get $out) (i32.load (i32.shl (local.get $i) (i32.const 2))))
                (local.set $out (i32.add (local.get $out) (i32.const 8)))))
            (br_if $lane (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))))))
      (br_if $next (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (local.get $end))))
    (i32.shr_u (i32.sub (local.get $out) (local.get $first)) (i32.const 3))))
