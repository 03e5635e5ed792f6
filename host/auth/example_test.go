package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rtd/host/auth"
)

// A connection from its token to its end.
func Example() {
	key, err := auth.ParseSecret(secret) // of a config file: env:NAME or file:PATH
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := auth.New(auth.Config{Keys: []auth.Key{{ID: "shared", Value: key}}, Audience: "rtd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// With a JWKS, also: go verifier.Run(ctx)

	_, token, _ := strings.Cut(golden("tokens.txt"), " ")
	token, _, _ = strings.Cut(token, "\n")
	claims, err := verifier.Verify(context.Background(), token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(claims.Subject, claims.Expires.UTC().Format(time.DateOnly))

	session := auth.NewSession(claims, auth.Policy{Notice: time.Minute, Grace: 30 * time.Second}, time.Now())
	for _, now := range []time.Time{time.Now(), claims.Expires.Add(-time.Minute), claims.Expires, session.Ends()} {
		fmt.Println(session.Tick(now))
	}

	_, err = verifier.Verify(context.Background(), token+"x")
	fmt.Println(errors.Is(err, auth.ErrInvalid), err)
	// Output:
	// user-1 2100-01-01
	// none
	// expiring
	// expired
	// ended
	// true token is invalid: its signature does not match
}
