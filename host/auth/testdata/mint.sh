#!/bin/sh
# Makes the keys and tokens of this folder with OpenSSL and xxd alone. Run it in a scratch
# folder, where the private keys stay.
set -e

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

secret=9f2c1d7a5be84630b1c4d8e7f6a5930212ab34cd56ef7890a1b2c3d4e5f60718
claims='{"iss":"https://id.example","aud":"rtd","sub":"user-1","iat":1750000000,"exp":4102444800,"role":"admin"}'

openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
openssl pkey -in rsa.key -pubout -out rsa.pem
for curve in P-256 P-384 P-521; do
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:$curve -out ec$curve.key
	openssl pkey -in ec$curve.key -pubout -out ec$curve.pem
done

# signed ALG KID: what is signed
signed() {
	printf '{"alg":"%s","typ":"JWT","kid":"%s"}' $1 $2 | b64
	printf .
	printf %s "$claims" | b64
}

hs() { # BITS
	s=$(signed HS$1 shared)
	printf 'HS%s %s.%s\n' $1 $s $(printf %s $s | openssl dgst -sha$1 -hmac $secret -binary | b64)
}

rs() { # BITS
	s=$(signed RS$1 rsa)
	printf 'RS%s %s.%s\n' $1 $s $(printf %s $s | openssl dgst -sha$1 -sign rsa.key | b64)
}

es() { # BITS CURVE BYTES: OpenSSL signs in DER, and a JWT has r and s side by side, of so many bytes each
	s=$(signed ES$1 ec$2)
	printf %s $s | openssl dgst -sha$1 -sign ec$2.key >der
	printf 'ES%s %s.%s\n' $1 $s $(openssl asn1parse -inform DER -in der | sed -n 's/.*INTEGER *://p' |
		while read -r i; do printf "%0$(($3 * 2))d%s" 0 $i | tail -c $(($3 * 2)); done | xxd -r -p | b64)
}

for bits in 256 384 512; do hs $bits; done >tokens.txt
for bits in 256 384 512; do rs $bits; done >>tokens.txt
es 256 P-256 32 >>tokens.txt
es 384 P-384 48 >>tokens.txt
es 512 P-521 66 >>tokens.txt

ec() { # CURVE BYTES: a key in DER ends with x and y
	point() { openssl pkey -pubin -in ec$curve.pem -outform DER | tail -c $(($size * 2)); }
	curve=$1 size=$2
	printf ',\n{"kty":"EC","crv":"%s","kid":"ec%s","use":"sig","x":"%s","y":"%s"}' $1 $1 \
		$(point | head -c $2 | b64) $(point | tail -c $2 | b64)
}

{
	printf '{"keys":[\n{"kty":"RSA","kid":"rsa","use":"sig","n":"%s","e":"AQAB"}' \
		$(openssl rsa -pubin -in rsa.pem -noout -modulus | cut -d= -f2 | xxd -r -p | b64)
	ec P-256 32
	ec P-384 48
	ec P-521 66
	printf '\n]}\n'
} >jwks.json
