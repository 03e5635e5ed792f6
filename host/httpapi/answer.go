package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Problem is the answer to a request that fails.
type Problem struct {
	Error string `json:"error"`
}

// Succeed answers with status 200 and a body as JSON.
func Succeed(w http.ResponseWriter, body any) { Answer(w, http.StatusOK, body) }

// Fail answers with an error.
func Fail(w http.ResponseWriter, status int, err error) { Answer(w, status, Problem{err.Error()}) }

// Unauthorized answers a request without a key. The error says which keys are meant.
func Unauthorized(w http.ResponseWriter, err error) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	Fail(w, http.StatusUnauthorized, err)
}

// FailBody answers a request whose body, called what, could not be read or decoded because of err.
func FailBody(w http.ResponseWriter, what string, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		Fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the %s has more than %d bytes", what, large.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		Fail(w, http.StatusRequestTimeout, fmt.Errorf("the %s did not come in time", what))
	default:
		Fail(w, http.StatusBadRequest, fmt.Errorf("read %s: %w", what, err))
	}
}

// Decode reads a body of JSON that has at most limit bytes, one value and no unknown
// keys. If it fails, it answers with the error and returns false.
func Decode(w http.ResponseWriter, r *http.Request, limit int64, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	switch {
	case err == io.EOF:
		err = errors.New("it is empty; want a JSON object")
	case err == nil && d.More():
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		FailBody(w, "body", err)
	}
	return err == nil
}

// Answer answers with a status and a body as JSON.
func Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone will not mind
}
