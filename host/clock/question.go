package clock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// question is what a guest asks. A nil means that the key is missing.
type question struct {
	UnixMS *int64  `json:"unix_ms"`
	Text   *string `json:"text"`
	Layout string  `json:"layout"`
	Add    *span   `json:"add"`
	Zone   string  `json:"zone"`
	Format *string `json:"format"`
}

// span is a number of calendar units, each of which may be negative.
type span struct {
	Years  int64 `json:"years"`
	Months int64 `json:"months"`
	Days   int64 `json:"days"`
}

const (
	maxQuestion = 4 << 10
	maxText     = 256 // bytes of a layout, and of a text
)

// Words of errors, as answers have them.
const (
	malformed   = "malformed"
	unknownZone = "unknown_zone"
	badLayout   = "bad_layout"
	notATime    = "not_a_time"
	outOfRange  = "out_of_range"
)

// refused says why a question has no answer.
type refused struct{ Word, Message string }

func (r *refused) Error() string { return r.Word + ": " + r.Message }

func refuse(word, format string, args ...any) error {
	return &refused{word, fmt.Sprintf(format, args...)}
}

func refusal(err error) []byte {
	r, ok := errors.AsType[*refused](err)
	if !ok {
		r = &refused{malformed, err.Error()}
	}
	return encode(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{r.Word, r.Message})
}

func parseQuestion(text []byte) (*question, error) {
	if len(text) > maxQuestion {
		return nil, refuse(malformed, "the question has %d bytes, at most %d are allowed", len(text), maxQuestion)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		return nil, refuse(malformed, "the question is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	q := &question{}
	if err := d.Decode(q); err != nil {
		return nil, refuse(malformed, "the question is malformed: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, refuse(malformed, "there is more than one question")
	}
	if q.UnixMS != nil && q.Text != nil {
		return nil, refuse(malformed, "the question has both unix_ms and text, which are two times")
	}
	return q, nil
}

// answer says what there is to know of the moment.
func (m moment) answer(q *question, text string) []byte {
	abbreviation, offset := m.Zone()
	a := struct {
		UnixMS       int64   `json:"unix_ms"`
		Zone         string  `json:"zone"`
		Abbreviation string  `json:"abbreviation"`
		Offset       int     `json:"offset"`
		DST          bool    `json:"dst"`
		Year         int     `json:"year"`
		Month        int     `json:"month"`
		Day          int     `json:"day"`
		Hour         int     `json:"hour"`
		Minute       int     `json:"minute"`
		Second       int     `json:"second"`
		MS           int     `json:"ms"`
		Weekday      int     `json:"weekday"`
		Yearday      int     `json:"yearday"`
		Skipped      bool    `json:"skipped,omitempty"`
		Twice        bool    `json:"twice,omitempty"`
		Text         *string `json:"text,omitempty"`
	}{
		m.UnixMilli(), m.Location().String(), abbreviation, offset, m.IsDST(),
		m.Year(), int(m.Month()), m.Day(), m.Hour(), m.Minute(), m.Second(), milliseconds(m.Time),
		isoWeekday(m.Weekday()), m.YearDay(), m.skipped, m.twice, nil,
	}
	if q.Format != nil {
		a.Text = &text
	}
	return encode(a)
}

func encode(answer any) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		return []byte(`{"error":"malformed","message":"the answer cannot be written"}`) // of texts and numbers it can
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

func milliseconds(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) }

func isoWeekday(d time.Weekday) int { return (int(d)+6)%7 + 1 }
