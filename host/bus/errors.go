package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The kinds of failures. Every error of this package but those of a context that ended before anything was
// asked wraps one of them; ask with errors.Is. The text says the cause.
var (
	// ErrDown: the bus does not work at present, and nothing was done. Ask again later; it comes back by itself.
	ErrDown = errors.New("bus is down")
	// ErrStarting: it begins, and it is not known yet whether it works. It comes with ErrDown.
	ErrStarting = errors.New("starting")
	// ErrUnknown: nobody said whether a write was stored before time was over or the bus went down. The same write
	// again settles that: it is stored once, however often it is asked for.
	ErrUnknown = errors.New("outcome unknown")
	// ErrFull: not stored, there is no room. Purging or deleting makes some.
	ErrFull = errors.New("bus is full")
	// ErrConflict: not stored, somebody else wrote since the sequence or revision that was expected.
	ErrConflict = errors.New("conflict")
	// ErrTooLarge: not stored, and never will be.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound: there is no such record or key.
	ErrNotFound = errors.New("not found")
	// ErrGone: the record was purged.
	ErrGone = errors.New("purged")
	// ErrDamaged: what was stored cannot be read, or not all of it. See [Options].Dir.
	ErrDamaged = errors.New("damaged")
	// ErrUnfit: a server, a folder, or a log or store there is not fit for use; the text says what to change.
	ErrUnfit = errors.New("not fit for use")
	// ErrLost: messages for an [Inbox] were lost.
	ErrLost = errors.New("messages lost")
	// ErrTaken: another node of the cluster has the name of this one.
	ErrTaken = errors.New("name is taken")
	// ErrClosed: the bus, or the inbox, was closed.
	ErrClosed = errors.New("closed")
	// ErrName: a name, key or subject that cannot be one.
	ErrName = errors.New("bad name")
)

// because makes an error of one of the kinds, with its cause.
func because(kind, cause error) error {
	if cause == nil || errors.Is(cause, kind) {
		return kind
	}
	return fmt.Errorf("%w: %w", kind, cause)
}

// apiError is how a server says no.
type apiError struct {
	Code    int    `json:"code"`
	ErrCode int    `json:"err_code"`
	Text    string `json:"description"`
}

func (e *apiError) Error() string { return e.Text }

// The codes of refusals, of errors.json in NATS's source.
const (
	codeAccountFull    = 10002
	codeUnavailable    = 10008
	codeServerFull     = 10023
	codeNoMessage      = 10037
	codeNotForAccount  = 10039
	codeStorageFull    = 10047
	codeTooLarge       = 10054
	codeDeleteFailed   = 10057
	codeNoStream       = 10059
	codeWrongSequence  = 10071
	codeNotEnabled     = 10076
	codeStoreFailed    = 10077
	codeOffline        = 10118
	codeWrongSequence2 = 10164
)

// refusal is the kind of an error that a server answers with. Nothing was done.
func refusal(code int) error {
	switch code {
	case codeAccountFull, codeServerFull, codeStorageFull, codeStoreFailed: // the last is a limit of the stream
		return ErrFull
	case codeWrongSequence, codeWrongSequence2:
		return ErrConflict
	case codeTooLarge:
		return ErrTooLarge
	case codeNoMessage:
		return ErrNotFound
	case codeUnavailable, codeNotEnabled, codeNotForAccount:
		return ErrDown
	case codeOffline:
		return ErrUnfit
	default: // such as a stream that somebody else removed
		return ErrDown
	}
}

// asked turns the error of a request into one of the kinds. A request that may have come through is unknown.
func asked(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrConnectionReconnecting):
		return because(ErrDown, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return because(ErrTooLarge, err)
	default: // time is over, or the connection
		return because(ErrUnknown, err)
	}
}

// managed turns the error of a call of package jetstream into one of the kinds. Such calls may be repeated.
func managed(err error) error {
	if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
		if refused.ErrorCode == codeNoStream {
			return because(ErrNotFound, err)
		}
		return because(refusal(int(refused.ErrorCode)), err)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return because(ErrDown, err)
}
