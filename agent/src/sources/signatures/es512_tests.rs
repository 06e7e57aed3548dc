use super::*;

/// Bytes of a coordinate, and of each half of a signature.
const LENGTH: usize = 66;
/// The order of the curve's group (SEC 2, section 2.6.1), in hexadecimal.
const ORDER: &str = "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
                     51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409";

fn order() -> Vec<u8> {
    let digits = ORDER.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

fn base64(bytes: &[u8]) -> Value {
    json!(BASE64URL.encode(bytes))
}

fn decoded(member: &Value) -> Vec<u8> {
    BASE64URL.decode(member.as_str().unwrap()).unwrap()
}

/// What is shown of OpenSSL's token with this signature.
fn with_signature(signature: &[u8]) -> Option<SignatureResult> {
    let text = P521_TOKEN.trim().rsplit_once('.').unwrap().0;
    let token = format!("{text}.{}", BASE64URL.encode(signature));
    result(&ring(&[key(P521)]), &token)
}

fn signature() -> Vec<u8> {
    BASE64URL.decode(P521_TOKEN.trim().rsplit_once('.').unwrap().1).unwrap()
}

#[test]
fn a_signature_of_another_form_fits_nothing() {
    let (good, zero) = (signature(), vec![0; LENGTH]);
    let (r, s) = good.split_at(LENGTH);
    let mut one = zero.clone();
    one[LENGTH - 1] = 1;
    let above = [&[2], &r[1..]].concat();
    assert_eq!(good.len(), 2 * LENGTH);
    assert_eq!(with_signature(&good), Some(SignatureResult::Verified));
    let table = [
        ("r is zero", [&zero, s].concat()),
        ("s is zero", [r, &zero].concat()),
        ("both are zero", [&*zero, &zero].concat()),
        ("both are one", [&*one, &one].concat()),
        ("r is the order", [&order(), s].concat()),
        ("s is the order", [r, &order()].concat()),
        ("r has too many bits", [&above, s].concat()),
        ("all bits are set", vec![0xff; 2 * LENGTH]),
        ("the halves are swapped", [s, r].concat()),
        ("half of it", r.to_vec()),
        ("a byte is missing", good[..good.len() - 1].to_vec()),
        ("a byte too many", [&good, &[0][..]].concat()),
        ("without its leading zero", good[1..].to_vec()),
        ("of the length of ES384", good[..96].to_vec()),
        ("ASN.1, as OpenSSL writes it", [&[0x30, 0x81, 0x86, 2, 66], r, &[2, 66], s].concat()),
    ];
    for (what, signature) in table {
        assert_eq!(with_signature(&signature), Some(SignatureResult::Damaged), "{what}");
    }
}

#[test]
fn a_published_key_that_is_none_accuses_nobody() {
    let (x, y) = (decoded(&key(P521)["x"]), decoded(&key(P521)["y"]));
    let point = |x: &[u8], y: &[u8]| with(with(key(P521), "x", base64(x)), "y", base64(y));
    let p256 = Signer::new().unwrap().jwk();
    let table = [
        ("not on the curve", point(&x, &x)),
        ("the point of nothing", point(&[0; LENGTH], &[0; LENGTH])),
        ("a coordinate above the field", point(&[0xff; LENGTH], &y)),
        ("without its leading zero", point(&x[1..], &y)),
        ("a byte too many", point(&[&[0], &*x].concat(), &y)),
        ("a point of P-256", { point(&decoded(&p256["x"]), &decoded(&p256["y"])) }),
        ("no y", with(key(P521), "y", Value::Null)),
        ("no base64url", with(key(P521), "x", json!("?"))),
    ];
    for (what, key) in table {
        let seen = result(&ring(&[key]), P521_TOKEN.trim());
        assert_eq!(seen, Some(SignatureResult::Unsupported(Unsupported::Key)), "{what}");
    }
}

/// The id decides what a key of another curve means, as it does for all algorithms.
#[test]
fn the_algorithm_and_the_curve_must_be_of_each_other() {
    let p256 = Signer::new().unwrap().jwk();
    let of = |alg: &str, key: &Value| {
        let header = json!({"alg": alg, "kid": key["kid"]});
        result(&ring(std::slice::from_ref(key)), &with_header(P521_TOKEN.trim(), &header))
    };
    let named = |kid: &Value| with(p256.clone(), "kid", kid.clone());
    let table = [
        ("ES512", p256.clone(), SignatureResult::Damaged),
        ("ES512", named(&key(P521)["kid"]), SignatureResult::OtherKey),
        ("ES512", key(P384), SignatureResult::Damaged),
        ("ES512", key(RSA), SignatureResult::Damaged),
        ("ES256", key(P521), SignatureResult::Damaged),
        ("ES384", key(P521), SignatureResult::Damaged),
        ("RS256", key(P521), SignatureResult::Damaged),
    ];
    for (algorithm, key, expected) in table {
        assert_eq!(of(algorithm, &key), Some(expected), "{algorithm} {key}");
    }
    let payload = with_payload_of(P521_TOKEN.trim(), RSA_TOKEN.trim());
    let seen = result(&ring(&[key(P521)]), &payload);
    assert_eq!(seen, Some(SignatureResult::Damaged), "another payload");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))] // each verifies in some 20 ms unoptimised

    /// Whatever stands where the signature should, nothing panics, and nothing fits.
    #[test]
    fn any_bytes_are_taken_for_a_signature(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..400),
            proptest::collection::vec(any::<u8>(), 2 * LENGTH),
            // In the range of the group's order.
            proptest::collection::vec(any::<u8>(), 2 * LENGTH).prop_map(|mut bytes| {
                (bytes[0], bytes[LENGTH]) = (bytes[0] & 1, bytes[LENGTH] & 1);
                bytes
            }),
        ],
    ) {
        prop_assume!(!bytes.is_empty());
        prop_assert_eq!(with_signature(&bytes), Some(SignatureResult::Damaged));
    }

    /// One other bit anywhere is another signature.
    #[test]
    fn each_bit_counts(bit in 0..2 * LENGTH * 8) {
        let mut other = signature();
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(with_signature(&other), Some(SignatureResult::Damaged));
    }

    /// Whatever is published as a key, nothing panics, and nothing fits.
    #[test]
    fn any_bytes_are_taken_for_a_key(
        x in proptest::collection::vec(any::<u8>(), 60..70),
        y in proptest::collection::vec(any::<u8>(), 60..70),
    ) {
        let key = with(with(key(P521), "x", base64(&x)), "y", base64(&y));
        let seen = result(&ring(&[key]), P521_TOKEN.trim());
        prop_assert_eq!(seen, Some(SignatureResult::Unsupported(Unsupported::Key)));
    }
}
