package clock_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/ask"
	"rtd/host/clock"
	"rtd/supervisor"
)

// noon is what it is in these tests: 09:05 in Berlin.
var noon = time.Date(2026, 7, 14, 7, 5, 0, 250_999_999, time.UTC)

func fixed() *clock.Clock { return clock.New(func() time.Time { return noon }) }

// answer asks, and decodes the answer.
func answer(t *testing.T, c *clock.Clock, question string) map[string]any {
	t.Helper()
	var a map[string]any
	if text := c.Answer([]byte(question)); json.Unmarshal(text, &a) != nil {
		t.Fatalf("%s is answered %s, which is no JSON", question, text)
	}
	return a
}

// expect compares the parts of an answer that are named.
func expect(t *testing.T, c *clock.Clock, question, want string) {
	t.Helper()
	got := answer(t, c, question)
	var parts map[string]any
	if err := json.Unmarshal([]byte(want), &parts); err != nil {
		t.Fatal(err)
	}
	for key, value := range parts {
		if got[key] != value {
			t.Errorf("%s\nis answered %v\nwith %s %v, want %v", question, got, key, got[key], value)
		}
	}
}

func TestAnswer(t *testing.T) {
	const want = `{"unix_ms":1784012700250,"zone":"Europe/Berlin","abbreviation":"CEST","offset":7200,"dst":true,` +
		`"year":2026,"month":7,"day":14,"hour":9,"minute":5,"second":0,"ms":250,"weekday":2,"yearday":195,"text":"09:05 CEST"}`
	if got := string(fixed().Answer([]byte(`{"zone": "Europe/Berlin", "format": "%H:%M %Z"}`))); got != want {
		t.Errorf("the answer is\n%s, want\n%s", got, want)
	}
}

// The examples of doc.go.
func TestExamples(t *testing.T) {
	for question, want := range map[string]string{
		`{}`:                                  `{"unix_ms":1784012700250,"zone":"UTC","abbreviation":"UTC","offset":0,"dst":false,"hour":7}`,
		`{"zone": "Asia/Tokyo"}`:              `{"hour":16,"offset":32400,"abbreviation":"JST"}`,
		`{"unix_ms": 0, "format": "rfc3339"}`: `{"text":"1970-01-01T00:00:00Z","weekday":4,"yearday":1}`,
		`{"text": "14.07.2026 09:05", "layout": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"}`: `{"unix_ms":1784012700000}`,
		`{"unix_ms": 1784012700000, "add": {"days": 1}, "zone": "Europe/Berlin"}`:           `{"unix_ms":1784099100000,"day":15,"hour":9}`,
	} {
		expect(t, fixed(), question, want)
	}
}

func TestDirectives(t *testing.T) {
	for layout, want := range map[string]string{
		"%Y-%m-%d %e %j":       "2026-07-14 14 195",
		"%H %I %p %M %S %L":    "09 09 AM 05 00 250",
		"%A %a %B %b":          "Tuesday Tue July Jul",
		"%u %G %V":             "2 2026 29",
		"%z %:z %Z %s":         "+0200 +02:00 CEST 1784012700",
		"%F %T %%":             "2026-07-14 09:05:00 %",
		"%-m/%-d %-H:%-M|%-j":  "7/14 9:5|195",
		"rfc3339":              "2026-07-14T09:05:00.250+02:00",
		"http":                 "Tue, 14 Jul 2026 07:05:00 GMT",
		"%Y 2006 Jan \"\\ ü\n": "2026 2006 Jan \"\\ ü\n",
	} {
		q, _ := json.Marshal(map[string]string{"zone": "Europe/Berlin", "format": layout})
		if a := answer(t, fixed(), string(q)); a["text"] != want {
			t.Errorf("%q is %v, want %q", layout, a, want)
		}
	}
	expect(t, fixed(), `{"text":"2026-01-04","layout":"%F","format":"%e|%G|%V|%I %p"}`, `{"text":" 4|2026|01|12 AM"}`)
}

func TestParse(t *testing.T) {
	for question, want := range map[string]string{
		`{"text":"2026-07-14T09:05:00+02:00"}`:                                           `{"unix_ms":1784012700000,"zone":"UTC","hour":7}`,
		`{"text":"2026-07-14T09:05:00.2509+02:00","layout":"rfc3339"}`:                   `{"unix_ms":1784012700250}`,
		`{"text":"Tue, 14 Jul 2026 07:05:00 GMT","layout":"http"}`:                       `{"unix_ms":1784012700000}`,
		`{"text":"Tuesday, 14-Jul-26 07:05:00 GMT","layout":"http"}`:                     `{"unix_ms":1784012700000}`,
		`{"text":"Tue Jul 14 07:05:00 2026","layout":"http"}`:                            `{"unix_ms":1784012700000}`,
		`{"text":"2026","layout":"%Y"}`:                                                  `{"month":1,"day":1,"hour":0}`,
		`{"text":"1784012700.250","layout":"%s.%L","zone":"Asia/Tokyo"}`:                 `{"unix_ms":1784012700250,"hour":16}`,
		`{"text":"-1","layout":"%s"}`:                                                    `{"unix_ms":-1000,"year":1969}`,
		`{"text":"7/4/2026 12:05 am","layout":"%-m/%-d/%Y %I:%M %p"}`:                    `{"month":7,"day":4,"hour":0,"minute":5}`,
		`{"text":"7/4/2026 12:05 PM","layout":"%-m/%-d/%Y %I:%M %p"}`:                    `{"hour":12}`,
		`{"text":"Sat  4 july 2026","layout":"%a %e %B %Y"}`:                             `{"month":7,"day":4,"weekday":6}`,
		`{"text":"2026-07-14 09:05 +0200","layout":"%F %H:%M %z","zone":"America/Lima"}`: `{"unix_ms":1784012700000,"hour":2}`,
		`{"text":"2026-07-14 09:05 -09:30","layout":"%F %H:%M %:z"}`:                     `{"hour":18,"minute":35}`,
		`{"text":"2026-07-14Z","layout":"%F%z","zone":"Asia/Tokyo"}`:                     `{"hour":9}`,
		`{"text":"2024 366","layout":"%Y %j"}`:                                           `{"month":12,"day":31}`,
		`{"text":"2024-02-29","layout":"%F"}`:                                            `{"day":29}`,
	} {
		expect(t, fixed(), question, want)
	}
}

func TestErrors(t *testing.T) {
	for question, word := range map[string]string{
		``:                         "malformed",
		`null`:                     "malformed",
		`[]`:                       "malformed",
		`{`:                        "malformed",
		`{} {}`:                    "malformed",
		`{"zoen":"UTC"}`:           "malformed",
		`{"unix_ms":1.5}`:          "malformed",
		`{"unix_ms":"1"}`:          "malformed",
		`{"unix_ms":1e30}`:         "malformed",
		`{"unix_ms":1,"text":"x"}`: "malformed",
		`{"add":{"hours":1}}`:      "malformed",
		`{"zone":"` + strings.Repeat("A", 5000) + `"}`: "malformed",
		strings.Repeat(`{"add":`, 500):                 "malformed",

		`{"zone":"Mars/Base"}`:                        "unknown_zone",
		`{"zone":"Local"}`:                            "unknown_zone",
		`{"zone":"europe/berlin"}`:                    "unknown_zone",
		`{"zone":"right/Europe/Berlin"}`:              "unknown_zone",
		`{"zone":"../../etc/passwd"}`:                 "unknown_zone",
		`{"zone":"/etc/localtime"}`:                   "unknown_zone",
		`{"zone":"Europe"}`:                           "unknown_zone", // a folder
		`{"zone":"Europe/Berlin\u0000"}`:              "unknown_zone",
		`{"zone":"A` + strings.Repeat("a", 64) + `"}`: "unknown_zone",

		`{"format":""}`:     "bad_layout",
		`{"format":"iso"}`:  "bad_layout",
		`{"format":"%Y %"}`: "bad_layout",
		`{"format":"%-"}`:   "bad_layout",
		`{"format":"%Q"}`:   "bad_layout",
		`{"format":"%-A"}`:  "bad_layout",
		`{"format":"%ü"}`:   "bad_layout",
		`{"format":"%Y` + strings.Repeat("x", 255) + `"}`: "bad_layout",
		`{"text":"x","layout":"%"}`:                       "bad_layout",
		`{"text":"12:00","layout":"%H:%M"}`:               "bad_layout", // of which day?
		`{"text":"CEST 2026","layout":"%Z %Y"}`:           "bad_layout",
		`{"text":"2026 12","layout":"%Y %I"}`:             "bad_layout",

		`{"text":""}`: "not_a_time",
		`{"text":"` + strings.Repeat("1", 257) + `"}`:              "not_a_time",
		`{"text":"2026-07-14"}`:                                    "not_a_time",
		`{"text":"2026-02-30","layout":"%F"}`:                      "not_a_time",
		`{"text":"2025-02-29","layout":"%F"}`:                      "not_a_time",
		`{"text":"2026-07-14 24:00:00","layout":"%F %T"}`:          "not_a_time",
		`{"text":"2026-7-14","layout":"%F"}`:                       "not_a_time",
		`{"text":"2026-07-14 x","layout":"%F"}`:                    "not_a_time",
		`{"text":"Mon 2026-07-14","layout":"%a %F"}`:               "not_a_time",
		`{"text":"2025 366","layout":"%Y %j"}`:                     "not_a_time",
		`{"text":"2026-07-14 +2:00","layout":"%F %:z"}`:            "not_a_time",
		`{"text":"Tue, 30 Feb 2026 07:05:00 GMT","layout":"http"}`: "not_a_time",

		`{"unix_ms":-62135596800001}`:                           "out_of_range",
		`{"unix_ms":253402300800000}`:                           "out_of_range",
		`{"unix_ms":9223372036854775807}`:                       "out_of_range",
		`{"unix_ms":-9223372036854775808}`:                      "out_of_range",
		`{"unix_ms":253402300799999,"zone":"Asia/Tokyo"}`:       "out_of_range",
		`{"unix_ms":-62135596800000,"zone":"America/Lima"}`:     "out_of_range",
		`{"text":"9223372036854775807","layout":"%s"}`:          "out_of_range",
		`{"text":"-9223372036854775808","layout":"%s"}`:         "out_of_range",
		`{"text":"0000-01-01T00:00:00Z"}`:                       "out_of_range",
		`{"add":{"years":9000}}`:                                "out_of_range",
		`{"add":{"days":-9223372036854775808}}`:                 "out_of_range",
		`{"add":{"months":9223372036854775807}}`:                "out_of_range",
		`{"unix_ms":9223372036854775807,"add":{"years":-9998}}`: "out_of_range",
	} {
		a := answer(t, fixed(), question)
		if message, _ := a["message"].(string); a["error"] != word || message == "" || len(a) != 2 {
			t.Errorf("%.80s is answered %v, want the error %s", question, a, word)
		}
	}
	expect(t, fixed(), `{"unix_ms":-62135596800000}`, `{"year":1,"month":1,"day":1}`)
	expect(t, fixed(), `{"unix_ms":253402300799999,"format":"rfc3339"}`, `{"text":"9999-12-31T23:59:59.999Z"}`)
}

// When clocks go forward, times of day are missing; when they go back, some come twice.
func TestClocksThatChange(t *testing.T) {
	for question, want := range map[string]string{
		`{"text":"2026-03-29 01:59","layout":"%F %H:%M","zone":"Europe/Berlin","format":"rfc3339"}`: `{"text":"2026-03-29T01:59:00+01:00","skipped":null,"twice":null}`,
		`{"text":"2026-03-29 02:30","layout":"%F %H:%M","zone":"Europe/Berlin","format":"rfc3339"}`: `{"text":"2026-03-29T03:30:00+02:00","skipped":true,"twice":null}`,
		`{"text":"2026-03-29 03:00","layout":"%F %H:%M","zone":"Europe/Berlin","format":"rfc3339"}`: `{"text":"2026-03-29T03:00:00+02:00","skipped":null}`,
		`{"text":"2026-10-25 02:30","layout":"%F %H:%M","zone":"Europe/Berlin","format":"rfc3339"}`: `{"text":"2026-10-25T02:30:00+02:00","twice":true}`,
		`{"text":"2026-10-25 03:00","layout":"%F %H:%M","zone":"Europe/Berlin","format":"rfc3339"}`: `{"text":"2026-10-25T03:00:00+01:00","twice":null}`,
		// With half an hour, in the south.
		`{"text":"2026-10-04 02:15","layout":"%F %H:%M","zone":"Australia/Lord_Howe","format":"rfc3339"}`: `{"text":"2026-10-04T02:45:00+11:00","skipped":true}`,
		`{"text":"2026-04-05 01:45","layout":"%F %H:%M","zone":"Australia/Lord_Howe","format":"rfc3339"}`: `{"text":"2026-04-05T01:45:00+11:00","twice":true}`,
		// A midnight that there was not, and a day.
		`{"text":"2018-11-04","layout":"%F","zone":"America/Sao_Paulo","format":"rfc3339"}`:        `{"text":"2018-11-04T01:00:00-02:00","skipped":true}`,
		`{"text":"2011-12-30 12:00","layout":"%F %H:%M","zone":"Pacific/Apia","format":"rfc3339"}`: `{"text":"2011-12-31T12:00:00+14:00","skipped":true}`,
	} {
		expect(t, fixed(), question, want)
	}
}

func TestAdd(t *testing.T) {
	for name, test := range map[string]struct{ from, zone, add, want string }{
		"a day":                    {"2026-07-14T09:05", "UTC", `{"days":1}`, "2026-07-15T09:05:00Z"},
		"days back":                {"2026-01-01T09:05", "UTC", `{"days":-1}`, "2025-12-31T09:05:00Z"},
		"a day of 23 hours":        {"2026-03-28T12:00", "Europe/Berlin", `{"days":1}`, "2026-03-29T12:00:00+02:00"},
		"a day of 25 hours":        {"2026-10-24T12:00", "Europe/Berlin", `{"days":1}`, "2026-10-25T12:00:00+01:00"},
		"into a gap":               {"2026-03-28T02:30", "Europe/Berlin", `{"days":1}`, "2026-03-29T03:30:00+02:00"},
		"a month":                  {"2026-01-31T00:00", "UTC", `{"months":1}`, "2026-02-28T00:00:00Z"},
		"a month back":             {"2026-03-31T00:00", "UTC", `{"months":-1}`, "2026-02-28T00:00:00Z"},
		"13 months back":           {"2026-01-15T00:00", "UTC", `{"months":-13}`, "2024-12-15T00:00:00Z"},
		"a year from a leap day":   {"2024-02-29T00:00", "UTC", `{"years":1}`, "2025-02-28T00:00:00Z"},
		"four":                     {"2024-02-29T00:00", "UTC", `{"years":4}`, "2028-02-29T00:00:00Z"},
		"months first, then days":  {"2026-01-31T00:00", "UTC", `{"months":1,"days":1}`, "2026-03-01T00:00:00Z"},
		"a year and 12 months off": {"2026-05-31T00:00", "UTC", `{"years":1,"months":-12}`, "2026-05-31T00:00:00Z"},
		"nothing":                  {"2026-10-25T02:30", "Europe/Berlin", `{}`, "2026-10-25T02:30:00+02:00"},
	} {
		q := `{"text":"` + test.from + `","layout":"%Y-%m-%dT%H:%M","zone":"` + test.zone + `","add":` + test.add + `,"format":"rfc3339"}`
		if a := answer(t, fixed(), q); a["text"] != test.want {
			t.Errorf("%s: %v, want %s", name, a, test.want)
		}
	}
	// The second of two equal times of day stays the second if nothing is added.
	expect(t, fixed(), `{"unix_ms":1792891800000,"zone":"Europe/Berlin","add":{},"format":"rfc3339"}`, `{"text":"2026-10-25T02:30:00+01:00"}`)
}

// No more zones are kept than the bound says, and those that are not are there all the same.
func TestManyZones(t *testing.T) {
	c := fixed()
	for range 3 {
		for _, zone := range []string{"Etc/GMT+1", "Etc/GMT-14", "EST5EDT", "America/Argentina/ComodRivadavia", "America/Port-au-Prince", "Europe/Isle_of_Man", "W-SU"} {
			expect(t, c, `{"zone":"`+zone+`"}`, `{"zone":"`+zone+`","unix_ms":1784012700250}`)
		}
		for _, zone := range allZones {
			expect(t, c, `{"zone":"`+zone+`"}`, `{"zone":"`+zone+`"}`)
		}
	}
	if n := c.Zones(); n != clock.MaxZones {
		t.Errorf("%d zones are kept, want %d", n, clock.MaxZones)
	}
}

var allZones = func() (all []string) {
	for _, area := range []string{"Africa/Abidjan Accra Addis_Ababa Algiers Asmara Bamako Bangui Banjul Bissau Blantyre Brazzaville Bujumbura Cairo Casablanca Ceuta Conakry Dakar Djibouti Douala Freetown Gaborone Harare Kampala Khartoum Kigali Kinshasa Lagos Libreville Lome Luanda Lubumbashi Lusaka Malabo Maputo Maseru Mbabane Monrovia Nairobi Ndjamena Niamey Nouakchott Tripoli Tunis Windhoek",
		"America/Adak Anchorage Anguilla Antigua Araguaina Aruba Asuncion Bahia Barbados Belem Belize Bogota Boise Cancun Caracas Cayenne Cayman Chicago Chihuahua Costa_Rica Cuiaba Curacao Dawson Denver Detroit Dominica Edmonton El_Salvador Fortaleza Godthab Grenada Guatemala Guayaquil Guyana Halifax Havana Hermosillo Inuvik Iqaluit Jamaica Juneau La_Paz Lima Los_Angeles Maceio Managua Manaus",
		"Asia/Aden Almaty Amman Anadyr Aqtau Ashgabat Baghdad Bahrain Baku Bangkok Beirut Bishkek Brunei Chita Colombo Damascus Dhaka Dili Dubai Dushanbe Famagusta Gaza Hebron Hong_Kong Hovd Irkutsk Jakarta Jerusalem Kabul Karachi Kolkata Kuching Kuwait Macau Magadan Manila Muscat Nicosia Omsk Oral Pyongyang Qatar Riyadh Seoul Shanghai Singapore Taipei Tashkent Tbilisi Tehran Tokyo"} {
		name, cities, _ := strings.Cut(area, "/")
		for city := range strings.FieldsSeq(cities) {
			all = append(all, name+"/"+city)
		}
	}
	return all
}()

// Zones are there also where the system has none.
func TestWithoutZonesOfTheSystem(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "rtd/host/clock")
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(output), "\ntime/tzdata\n") {
		t.Error("time/tzdata is not linked in")
	}
}

// The service, as a process that is asked.
func TestService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := supervisor.New(supervisor.Options{})
		all := ask.NewServices(rt, slog.New(slog.DiscardHandler))
		defer rt.Wait()
		defer all.Close()
		if err := all.Provide(clock.Service(time.Now)); err != nil {
			t.Fatal(err)
		}
		p := all.Whereis(clock.Name)
		call := func(question string) string {
			t.Helper()
			text, err := ask.Call(context.Background(), p, []byte(question))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		const first = `{"unix_ms":946684800000,`
		if got := call(`{}`); !strings.HasPrefix(got, first) {
			t.Errorf("now is %s, want %s", got, first)
		}
		time.Sleep(1500 * time.Millisecond)
		if got := call(`{"format":"%T.%L"}`); !strings.Contains(got, `"text":"00:00:01.500"`) {
			t.Errorf("1.5 s later it is %s", got)
		}
		// A cast is nothing, and hostile questions end nothing.
		if err := p.Send(&ask.Message{Payload: []byte("{}")}); err != nil {
			t.Error(err)
		}
		if got := call("\x00\xff"); !strings.HasPrefix(got, `{"error":"malformed",`) {
			t.Errorf("what is no question is answered %s", got)
		}
		if all.Whereis(clock.Name) != p {
			t.Error("it was restarted")
		}
	})
}

// FuzzAnswer looks for a question that is answered with a panic, no JSON, too much, or a time that is
// another one when it is asked for again.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"zone":"Europe/Berlin","format":"%H:%M %Z"}`, `{"unix_ms":1792891800000,"add":{"days":1}}`,
		`{"text":"14.07.2026 09:05","layout":"%d.%m.%Y %H:%M","zone":"Asia/Tokyo"}`,
		`{"text":"Tue, 14 Jul 2026 07:05:00 GMT","layout":"http","format":"rfc3339"}`,
		`{"text":"x","layout":"%-Y%j%e%a%B%p%I%z%:z%s%L%%","format":"%G%V%u"}`,
	} {
		f.Add([]byte(seed))
	}
	c := fixed()
	f.Fuzz(func(t *testing.T, question []byte) {
		text := c.Answer(question)
		var a struct {
			Error string `json:"error"`
			Zone  string `json:"zone"`
			Unix  int64  `json:"unix_ms"`
			Year  int    `json:"year"`
		}
		if err := json.Unmarshal(text, &a); err != nil || len(text) > 32<<10 {
			t.Fatalf("answered %d bytes %s: %v", len(text), text, err)
		}
		if a.Error != "" {
			return
		}
		if a.Year < 1 || a.Year > 9999 {
			t.Fatalf("a time out of range: %s", text)
		}
		again, _ := json.Marshal(map[string]any{"unix_ms": a.Unix, "zone": a.Zone, "format": "%F %T.%L %:z"})
		var b struct {
			Unix int64  `json:"unix_ms"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal(c.Answer(again), &b); err != nil || b.Unix != a.Unix {
			t.Fatalf("asked again: %s", c.Answer(again))
		}
		if a.Year < 1973 { // offsets with seconds
			return
		}
		again, _ = json.Marshal(map[string]any{"text": b.Text, "layout": "%F %T.%L %:z", "zone": a.Zone})
		if err := json.Unmarshal(c.Answer(again), &b); err != nil || b.Unix != a.Unix {
			t.Fatalf("%s is read as %s", again, c.Answer(again))
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	for name, question := range map[string]string{
		"now":    `{"zone":"Europe/Berlin"}`,
		"format": `{"unix_ms":1784012700000,"zone":"Europe/Berlin","format":"%a, %d %b %Y %H:%M"}`,
		"parse":  `{"text":"14.07.2026 09:05","layout":"%d.%m.%Y %H:%M","zone":"Europe/Berlin"}`,
		"wrong":  `{"zone":"Mars/Base"}`,
	} {
		b.Run(name, func(b *testing.B) {
			c := fixed()
			b.ReportAllocs()
			for b.Loop() {
				c.Answer([]byte(question))
			}
		})
	}
}
