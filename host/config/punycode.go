package config

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// asciiHost returns a host with non-ASCII labels in the form that DNS and headers have:
// "bücher.example" is "xn--bcher-kva.example".
func asciiHost(text string) string {
	labels := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(".:/", r) })
	for _, label := range labels {
		if strings.IndexFunc(label, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			text = strings.Replace(text, label, "xn--"+punycode([]rune(strings.ToLower(label))), 1)
		}
	}
	return text
}

// punycode encodes a label (RFC 3492, section 6.3).
func punycode(label []rune) string {
	const base, tmin, tmax, skew, damp = 36, 1, 26, 38, 700
	n, delta, bias := rune(128), 0, 72
	var out []byte
	for _, r := range label {
		if r < n {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	for done := basic; done < len(label); {
		next := slices.MinFunc(label, func(a, b rune) int { return int(above(a, n)) - int(above(b, n)) })
		delta += int(next-n) * (done + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tmin), tmax)
				if q < t {
					out = append(out, digitOf(q))
					break
				}
				out = append(out, digitOf(t+(q-t)%(base-t)))
				q = (q - t) / (base - t)
			}
			done++
			// How far the next one is probably away.
			if done == basic+1 {
				delta /= damp
			} else {
				delta /= 2
			}
			delta += delta / done
			k := 0
			for ; delta > (base-tmin)*tmax/2; k += base {
				delta /= base - tmin
			}
			bias = k + (base-tmin+1)*delta/(delta+skew)
			delta = 0
		}
		delta++
		n++
	}
	return string(out)
}

// above orders runes below n behind all others.
func above(r, n rune) rune {
	if r < n {
		return utf8.MaxRune + 1
	}
	return r
}

func digitOf(n int) byte {
	if n < 26 {
		return byte('a' + n)
	}
	return byte('0' + n - 26)
}
