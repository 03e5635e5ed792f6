package bench_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rtd/cmd/rtd/bench"
)

// What quantiles tell is within 1 % of the truth, from nanoseconds to hours.
func TestHistogram(t *testing.T) {
	t.Parallel()
	var h bench.Histogram
	if h.Quantile(.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram tells something")
	}
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 100_000)
	for i := range all {
		all[i] = time.Duration(math.Exp(random.Float64() * math.Log(float64(5*time.Hour))))
		h.Add(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, .01, .1, .5, .9, .99, .999, .9999, 1} {
		want := float64(all[max(int(math.Ceil(q*float64(len(all))))-1, 0)])
		if got := float64(h.Quantile(q)); math.Abs(got-want) > want/100 {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if h.Count() != 100_000 || h.Max() != all[len(all)-1] || h.Quantile(1) > h.Max() {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
}

func TestHistogramExtremes(t *testing.T) {
	t.Parallel()
	var h bench.Histogram
	for _, d := range []time.Duration{-1, 0, math.MaxInt64} {
		h.Add(d)
	}
	if h.Quantile(.1) != 0 || h.Max() != math.MaxInt64 || h.Quantile(1) < math.MaxInt64/100*99 {
		t.Errorf("quantiles %v to %v", h.Quantile(.1), h.Quantile(1))
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		protocol bench.Protocol
		text     string
		messages int // -1: an error
	}{
		{bench.Phoenix, `["1","2","a:1","phx_reply",{"status":"ok","response":{}}]`, 1},
		{bench.Phoenix, ` [ null , null , "a\"b" , "x" , {} ] `, 1},
		{bench.Phoenix, `["1","2","a:1"]`, -1},
		{bench.Phoenix, `{}`, -1},
		{bench.Phoenix, ``, -1},
		{bench.Centrifuge, `{"id":1,"connect":{}}` + "\n" + `{"push":{"channel":"a","pub":{"data":{"a":"}"}}}}`, 2},
		{bench.Centrifuge, `{}`, 1},
		{bench.Centrifuge, `{"id":1`, -1},
		{bench.Centrifuge, `[]`, -1},
	} {
		n, err := bench.Parse(test.protocol, []byte(test.text))
		if err == nil && n != test.messages || err != nil && test.messages != -1 {
			t.Errorf("%s %s: %d messages, error %v", test.protocol, test.text, n, err)
		}
	}
}

// A server may send anything: nothing panics, and no frame lies outside of the bytes.
func FuzzServer(f *testing.F) {
	f.Add([]byte("\x81\x05hello"))
	f.Add([]byte("\x81\x7e\x00\x05hello"))
	f.Add([]byte("\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte(`["1","2","a","phx_reply",{"status":"ok","response":{"a":[1,"\\"]}}]`))
	f.Add([]byte(`{"push":{"channel":"a","pub":{"data":{}}}}` + "\n{}"))
	f.Add([]byte(`{"body":"~0001000002000000030000000000004x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, n, err := bench.ReadFrame(data); n < 0 || n > len(data) || err != nil && n != 0 {
			t.Errorf("a frame of %d of %d bytes, error %v", n, len(data), err)
		}
		bench.Parse(bench.Phoenix, data)
		bench.Parse(bench.Centrifuge, data)
		bench.FindStamp(data)
	})
}
