;; chunker-scan.wat: the inner loop of chunker.ts in WebAssembly with 128-bit vectors. scripts/build-chunker.mjs turns it into chunker-scan.ts.
;;
;; For the byte at position i it computes the lowest 8 bits of  h(i) = sum over k = 0 .. 31 of byte(i - k) * 2^k,  to which only
;; the last 8 bytes add, sixteen positions a round, by doubling the window: 2 bytes, 4, 8, all in lanes of 8 bits. The earlier windows come from
;; the vectors of the round before. Only where these bits are $tag, one position in 256, are the others computed too.
;; A candidate is one of those positions whose  h(i) * K + C, taken as signed, is less than the threshold.
;;
;; Writes pairs (position - start, h(i) * K + C) from address $out on and returns how many. The 31 bytes before $start are looked at: the caller
;; has put there what precedes, or zeros.
(module
  (memory (export "memory") 10)
  (func (export "scan") (param $p i32) (param $end i32) (param $tag i32) (param $threshold i32) (param $out i32) (result i32)
    (local $start i32) (local $first i32) (local $tags v128) (local $weights v128) (local $v v128)
    (local $b2 v128) (local $b2p v128) (local $b4 v128) (local $b4p v128)
    (local $hits i32) (local $i i32) (local $mixed i32)
    (local.set $start (local.get $p))
    (local.set $first (local.get $out))
    (local.set $tags (i8x16.splat (local.get $tag)))
    (local.set $weights (v128.const i16x8 128 64 32 16 8 4 2 1))
    ;; a round before the start fills the windows
    (local.set $p (i32.sub (local.get $p) (i32.const 16)))
    (loop $next
      (local.set $b2p (local.get $b2))
      (local.set $v (v128.load offset=0 (i32.sub (local.get $p) (i32.const 1))))
      (local.set $b2 (i8x16.add (v128.load (local.get $p)) (i8x16.add (local.get $v) (local.get $v))))
      (local.set $v (i8x16.shuffle 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 (local.get $b2p) (local.get $b2)))
      (local.set $v (i8x16.add (local.get $v) (local.get $v)))
      (local.set $b4p (local.get $b4))
      (local.set $b4 (i8x16.add (local.get $b2) (i8x16.add (local.get $v) (local.get $v))))
      (local.set $v (i8x16.shuffle 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 (local.get $b4p) (local.get $b4)))
      (local.set $v (v128.and (i16x8.shl (local.get $v) (i32.const 4)) (i8x16.splat (i32.const 0xF0))))
      (local.set $v (i8x16.eq (i8x16.add (local.get $b4) (local.get $v)) (local.get $tags)))
      (if (v128.any_true (local.get $v))
        (then
          (local.set $hits (i8x16.bitmask (local.get $v)))
          (loop $lane
            (local.set $i (i32.add (local.get $p) (i32.ctz (local.get $hits))))
            (local.set $mixed (i32.add (i32.const 0x6A09E667) (i32.mul (i32.const 0x9E3779B1) (call $hash (local.get $i) (local.get $weights)))))
            (if (i32.and (i32.lt_s (local.get $mixed) (local.get $threshold))
                         (i32.and (i32.ge_u (local.get $i) (local.get $start)) (i32.lt_u (local.get $i) (local.get $end))))
              (then
                (i32.store (local.get $out) (i32.sub (local.get $i) (local.get $start)))
                (i32.store offset=4 (local.get $out) (local.get $mixed))
                (local.set $out (i32.add (local.get $out) (i32.const 8)))))
            (br_if $lane (local.tee $hits (i32.and (local.get $hits) (i32.sub (local.get $hits) (i32.const 1))))))))
      (br_if $next (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 16))) (local.get $end))))
    (i32.shr_u (i32.sub (local.get $out) (local.get $first)) (i32.const 3)))

  ;; h(i), from two vectors of 16 bytes: four times 8 bytes with weights 2^7 .. 2^0
  (func $hash (param $i i32) (param $weights v128) (result i32)
    (local $early v128) (local $late v128) (local $sum v128)
    (local.set $early (v128.load (i32.sub (local.get $i) (i32.const 31))))
    (local.set $late (v128.load (i32.sub (local.get $i) (i32.const 15))))
    (local.set $sum (i32x4.add
      (i32x4.add
        (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_u (local.get $late)) (local.get $weights))
        (i32x4.shl (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_u (local.get $late)) (local.get $weights)) (i32.const 8)))
      (i32x4.add
        (i32x4.shl (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_u (local.get $early)) (local.get $weights)) (i32.const 16))
        (i32x4.shl (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_u (local.get $early)) (local.get $weights)) (i32.const 24)))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
      (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum))))))
