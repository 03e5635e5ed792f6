package sandbox_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
	"unicode"
)

// BenchmarkFigures measures what actors cost, in all languages, and prints one
// table of it beside what is to be reached, and beside the part of the machine that others had:
//
//	go test ./sandbox -run '^$' -bench Figures -benchtime 1x -timeout 30m
//
// That takes about 10 minutes and 2 GB on two cores, which should have nothing else
// to do. RTD_FIGURES_SCALE=0.01 is for a quick look: it makes populations and samples
// smaller. One language, or one figure in all of them, is
//
//	-bench Figures/rust      -bench Figures//wake
//
// The names are join, idle, wake, after10000, resident, restart, beside and scaling. How
// loops compare with bare wazero is measured by BenchmarkLoops of ./sandbox/rewrite.
//
// The guests are those of testdata/actor: they parse JSON, keep a name, a counter
// and ten messages, and reply.
func BenchmarkFigures(b *testing.B) {
	t := &figures{scale: 1}
	if s := os.Getenv("RTD_FIGURES_SCALE"); s != "" {
		var err error
		if t.scale, err = strconv.ParseFloat(s, 64); err != nil || t.scale <= 0 {
			b.Fatalf("RTD_FIGURES_SCALE is %q, want a number like 0.01", s)
		}
	}
	for _, w := range wanted {
		b.Run(w.language, func(b *testing.B) {
			var p *population // of idle and wake
			populated := func() *population {
				if p == nil {
					p = populate(b, w.language, t.scaled(w.actors))
				}
				return p
			}
			t.run(b, "join", func(b *testing.B) { t.join(b, w) })
			t.run(b, "idle", func(b *testing.B) { t.idle(b, w, populated()) })
			t.run(b, "wake", func(b *testing.B) { t.wake(b, w, populated()) })
			if p != nil {
				p.close()
			}
			t.run(b, "after10000", func(b *testing.B) { t.after10000(b, w) })
			t.run(b, "resident", func(b *testing.B) { t.resident(b, w) })
			t.run(b, "restart", func(b *testing.B) { t.restart(b, w) })
			t.run(b, "beside", func(b *testing.B) { t.beside(b, w) })
			t.run(b, "scaling", func(b *testing.B) { t.scaling(b, w) })
		})
	}
	t.print()
}

// wanted is what each language should reach; zero is no demand.
var wanted = []want{
	{language: "c", actors: 1_000_000, idle: 400, worn: 400, sample: 100, wake: 6, restart: 50},
	{language: "rust", actors: 1_000_000, idle: 800, worn: 800, sample: 100, wake: 6, restart: 50},
	{language: "as", actors: 200_000, idle: 3 << 10, worn: 5 << 10, sample: 40},
	{language: "go", actors: 100_000, idle: 1536, worn: 4 << 10, sample: 20, wake: 18, amortised: 150, restart: 150, crash: 1000},
}

type want struct {
	language string
	actors   int     // in the population
	sample   int     // actors that get 10,000 messages
	idle     float64 // B, after 5 messages
	worn     float64 // B, after 10,000
	// µs:
	wake, amortised, restart, crash float64
}

// figures collects what was measured.
type figures struct {
	scale float64 // of populations and samples
	rows  []row
}

type row struct {
	figure, language string
	value            float64
	unit             string
	reach            float64 // 0: no demand
	atLeast          bool    // else reach is the most
	others           float64 // part of the machine that other processes had meanwhile
}

// run measures something and notes what else the machine had to do.
func (t *figures) run(b *testing.B, name string, measure func(*testing.B)) {
	b.Run(name, func(b *testing.B) {
		first := len(t.rows)
		all, others := processor()
		measure(b)
		allThen, othersThen := processor()
		for n := range t.rows[first:] {
			t.rows[first+n].others = (othersThen - others) / max(allThen-all, 1)
		}
	})
}

// processor is the time that the machine has spent on everything, idling too, and on other
// processes and machines; both are 0 where there is no /proc.
func processor() (all, others float64) {
	machine, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(machine), "\n")
	var idle float64
	for n, word := range strings.Fields(line) {
		v, _ := strconv.ParseFloat(word, 64)
		if n > 8 { // guests' time is counted in the first already
			break
		}
		all += v
		if n == 4 || n == 5 { // idle, or waiting for a disk
			idle += v
		}
	}
	self, _ := os.ReadFile("/proc/self/stat")
	_, rest, _ := strings.Cut(string(self), ") ")
	var own float64
	for n, word := range strings.Fields(rest) {
		if n == 11 || n == 12 { // in user and system mode
			v, _ := strconv.ParseFloat(word, 64)
			own += v
		}
	}
	return all, all - idle - own
}

func (t *figures) scaled(n int) int { return max(int(float64(n)*t.scale), 10) }

func (t *figures) atMost(b *testing.B, figure string, w want, value float64, unit string, reach float64) {
	t.add(b, row{figure, w.language, value, unit, reach, false, 0})
}

func (t *figures) add(b *testing.B, r row) {
	t.rows = append(t.rows, r)
	words := strings.FieldsFunc(r.figure, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	b.ReportMetric(r.value, strings.Join(words, "-")+"/"+r.unit)
	b.ReportMetric(0, "ns/op") // of no meaning here
}

// print writes the table to standard output, figure by figure.
func (t *figures) print() {
	order := map[string]int{}
	for n, r := range t.rows {
		if _, ok := order[r.figure]; !ok {
			order[r.figure] = n
		}
	}
	slices.SortStableFunc(t.rows, func(x, y row) int { return cmp.Compare(order[x.figure], order[y.figure]) })
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(out, "\nfigure\tlanguage\tmeasured\treach\t\tother processes\n")
	for _, r := range t.rows {
		reach, verdict := "", ""
		if r.reach > 0 {
			sign, reached := "≤", r.value <= r.reach
			if r.atLeast {
				sign, reached = "≥", r.value >= r.reach
			}
			reach = fmt.Sprintf("%s %.4g %s", sign, r.reach, r.unit)
			verdict = map[bool]string{true: "reached", false: "MISSED"}[reached]
		}
		fmt.Fprintf(out, "%s\t%s\t%.4g %s\t%s\t%s\t%.0f %%\n", r.figure, r.language, r.value, r.unit, reach, verdict, 100*r.others)
	}
	out.Flush()
}

// quantile sorts v.
func quantile[T cmp.Ordered](v []T, q float64) T {
	slices.Sort(v)
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }
func millis(d time.Duration) float64 { return float64(d) / 1e6 }
