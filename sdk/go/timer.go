package rtd

import (
	"strconv"
	"time"
)

// SendAfter gives this process itself a message for its [InfoHandler], after a delay.
func SendAfter(d time.Duration, message []byte) (timer Ref, err error) {
	return doRef(record{kind: opSendAfter, payload: message, detail: milliseconds(d)})
}

// Cancel stops a timer and returns how long it had left. Its message does not come
// any more, even if it was on its way.
func Cancel(timer Ref) (left time.Duration, err error) {
	answer, err := operate(record{kind: opCancel, name: string(timer)})
	if err != nil {
		return 0, err
	}
	ms, _ := strconv.ParseInt(string(answer), 10, 64)
	return time.Duration(ms) * time.Millisecond, nil
}

// Late returns how late the message of a timer comes that is at hand, because its process, which is [Durable], was not there
// when it was due; 0 of any other.
func Late() time.Duration {
	ms, _ := strconv.ParseInt(atHand.late, 10, 64)
	return time.Duration(ms) * time.Millisecond
}

// Sleep waits. Other processes run meanwhile, and the deadline of the event does not
// come nearer, as it does in time.Sleep.
func Sleep(d time.Duration) error { return do(record{kind: opSleep, detail: milliseconds(d)}) }

// milliseconds rounds up, so that a short time is not none.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(int64((max(d, 0)+time.Millisecond-1)/time.Millisecond), 10)
}
