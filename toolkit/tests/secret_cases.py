"""What web requests have: keys and texts with a secret, and harmless ones that resemble them."""

SECRET = "h4nter2-Xq9"
SECRET_KEYS = """
    password Password PASSWORD passwd pwd pw passphrase passcode newPassword old_password password1
    New-Password password_confirmation user[password] db_pass password_hash user%5Bpassword%5D
    session session_id sessionId sessionid laravel_session
    JSESSIONID PHPSESSID ASP.NET_SessionId connect.sid sid
    session-token session_key Cookie cookies Set-Cookie set_cookie HTTP_COOKIE session_cookie
    Authorization authorization Proxy-Authorization HTTP_AUTHORIZATION X-Auth-Token auth bearer jwt
    x-api-key X-API-Key apikey apiKey APIKey api_key access_token accessToken id_token refresh_token
    refreshToken csrf csrf_token _csrf csrfmiddlewaretoken X-CSRFToken X-XSRF-TOKEN remember_token
    access_key AWSAccessKeyId aws_secret_access_key AWS_SECRET_ACCESS_KEY private_key privateKey
    signing_key signingKey encryption-key encryptionKey master_key SECRET_KEY secret client_secret
    clientSecret secret_key_base AccountKey ssh_key credentials consumer_secret webhookSecret
    card_number cardNumber cardnumber credit_card creditCard cc_number account_number accountNumber
    bank_account iban IBAN cvv cvv2 CVC ssn pin PIN card_pin pinCode otp otp_code sms-otp totp
    2fa_code verification_code recovery_codes backup_code security_answer X-Amz-Signature
    X-Goog-Signature X-Hub-Signature-256 X-Amz-Security-Token sig signature SAMLResponse
    code_verifier reset_link one-time-password magicLink OTPCode
""".split()  # noqa: SIM905 # a list of a hundred words
HARMLESS_KEYS = """
    tokens_used has_password secretary author authority keyboard monkey primary_key foreign_key
    sort_key token_count password_changed_at session_count passenger cookie_consent card_type
    account_type pinned shipping spinach hasPassword tokensUsed passwordChangedAt Token-Count
    authors authorized authorized_by authenticated authentication_method auth_method auth_provider
    key keys key_id public_key publicKey publishable_key cache_key partition_key idempotency_key
    token_type token_expires_at tokenExpiresIn session_timeout sessionCount cookie_policy
    cookies_enabled cookie_name accept_cookies discard cardinality cardboard cardholder_name
    card_brand card_last4 account account_id account_name accountant opinion pinterest spin option
    adoption captcha compass bypass trespass boarding_pass passport_country passed pass_count
    passive compassion sidebar inside residence president obsession max_tokens prompt_tokens
    total_tokens tokenizer tokenized secretariat secret_name is_secret needs_password requires_auth
    password_policy password_strength passwordless passwordless_login csrf_enabled panel pandemic
    hotkey turkey whiskey keynote keyword coauthor oauth_provider authorization_endpoint
    signature_valid signed_at design insignia zip_code country_code error_code code status_code
    promo_code barcode pins email username user_id page_token two_factor_enabled otp_enabled
    pin_attempts last_login credit_limit order_number phone_number account_manager number
    tokens_remaining token_ttl_seconds masked_card_number storage_key encryption_key_id
    cookie_domain private public access access_level api api_version client_id token_endpoint
""".split()  # noqa: SIM905 # likewise

BASIC = "dXNlcjpodW50ZXIyOjEyMzQ="
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{SECRET}"
BEGIN, END = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
LONG = SECRET * 4
# A text or another value with the secret; the text that remains of it, or None for any.
SECRET_VALUES = {
    # query strings, forms and paths
    f"?token={SECRET}&x=1": "?token=[masked]&x=1",
    f"token={SECRET}": "token=[masked]",
    f"/cb?x=1&access_token={SECRET}": "/cb?x=1&access_token=[masked]",
    f"GET /cb?api_key={SECRET} HTTP/1.1": "GET /cb?api_key=[masked] HTTP/1.1",
    f"https://example.org/cb#id_token={SECRET}&state=7": "https://example.org/cb#id_token=[masked]&state=7",
    f"email=a@b.org&password={SECRET}&next=/": "email=a@b.org&password=[masked]&next=/",
    f"password={SECRET};{SECRET}&next=/": "password=[masked]&next=/",
    f"password={SECRET},{SECRET}&next=/": "password=[masked]&next=/",
    f"user[password]={SECRET}": "user[password]=[masked]",
    f"user%5Bpassword%5D={SECRET}": "user%5Bpassword%5D=[masked]",
    f"next=%2Fcb%3Ftoken%3D{SECRET}%26x%3D1": "next=/cb?token=[masked]&x=1",
    f"next=%252Fcb%253Ftoken%253D{SECRET}": "next=/cb?token=[masked]",
    f"password=%00{SECRET}": "password=[masked]",
    f"%00token%3D{SECRET}": None,
    f"?x-api-key={SECRET}&page=2": "?x-api-key=[masked]&page=2",
    "password=changed": "password=[masked]",
    f"/cart;jsessionid={SECRET}?page=2": "/cart;jsessionid=[masked]",
    f"/cb?code={SECRET}&state=7": "/cb?code=[masked]&state=7",
    f"/cb?state=7&code={SECRET}": "/cb?state=7&code=[masked]",
    f"(sid={SECRET})": "(sid=[masked])",
    f"https://bucket.example.org/a?X-Amz-Signature={SECRET}": (
        "https://bucket.example.org/a?X-Amz-Signature=[masked]"
    ),
    # URLs
    f"https://bob:{SECRET}@example.org/a": "https://bob:[masked]@example.org/a",
    f"postgresql://app:{SECRET}@127.0.0.1:5432/app": "postgresql://app:[masked]@127.0.0.1:5432/app",
    f"redis://:{SECRET}@cache:6379/0": "redis://:[masked]@cache:6379/0",
    f"amqp://a:{SECRET}@@{SECRET}@host": "amqp://a:[masked]@host",
    f"amqp://a:{SECRET}/{SECRET}@host": "amqp://a:[masked]@host",
    f"https://{LONG}@example.org/a.git": "https://[masked]@example.org/a.git",
    f"reach smtp://m:{SECRET}@mail failed": "reach smtp://m:[masked]@mail failed",
    # headers
    f"Bearer {SECRET}": "Bearer [masked]",
    "Bearer abcdef": "Bearer [masked]",
    f"sent bearer {SECRET}, refused": "sent bearer [masked], refused",
    f"Basic {BASIC}": "Basic [masked]",
    "Basic dXNlcjpwYXNz": "Basic [masked]",
    "Basic abc123": "Basic [masked]",
    f"the header was Basic {BASIC}": "the header was Basic [masked]",
    "X-Api-Key: generated": "X-Api-Key: [masked]",
    f"Authorization: {SECRET}": "Authorization: [masked]",
    f"Authorization: Basic {SECRET}": "Authorization: [masked]",
    f'Authorization: Digest username="bob", response="{SECRET}"': "Authorization: [masked]",
    f"host: a\r\nauthorization: Token {SECRET}\r\naccept: b": (
        "host: a\r\nauthorization: [masked]\r\naccept: b"
    ),
    f"Cookie: theme=dark; sid={SECRET}; a=b": "Cookie: [masked]",
    f"Set-Cookie: a={SECRET}; Path=/; HttpOnly": "Set-Cookie: [masked]",
    f"theme=dark; sessionid={SECRET}; a=b": "theme=dark; sessionid=[masked]; a=b",
    f"curl -H 'Authorization: Bearer {SECRET}' -H 'Accept: a'": (
        "curl -H 'Authorization: [masked]' -H 'Accept: a'"
    ),
    f"X-Api-Key: {SECRET} {SECRET}\nhost: a": "X-Api-Key: [masked]\nhost: a",
    f"authorization=Bearer {SECRET}": "authorization=[masked]",
    # bodies
    f'{{"password": "{SECRET}", "n": 1}}': '{"password": "[masked]", "n": 1}',
    f'{{"a": [{{"card": {{"number": "{SECRET}"}}}}]}}': (
        '{"a": [{"card": {"number": "[masked]"}}]}'
    ),
    f'{{"a": "token={SECRET}", "a": 1}}': None,
    f'[["x-api-key", "{SECRET}"]]': '[["x-api-key", "[masked]"]]',
    f'400: {{"password": "{SECRET}"}}': '400: {"password": "[masked]"}',
    f'400: {{"password": "a\\"{SECRET}", "n": 1}}': '400: {"password": "[masked]", "n": 1}',
    f'"{{\\"password\\": \\"{SECRET}\\", \\"n\\": 1}}"': (
        '"{\\"password\\": \\"[masked]\\", \\"n\\": 1}"'
    ),
    f'body "{{\\"password\\": \\"a\\\\\\"{SECRET}\\", \\"n\\": 1}}"': (
        'body "{\\"password\\": \\"[masked]\\", \\"n\\": 1}"'
    ),
    f'body "{{\\"password\\": \\"{SECRET}': 'body "{\\"password\\": \\"[masked]',
    f'400: {{"Authorization": "{SECRET}", "n": 1}}': '400: {"Authorization": "[masked]", "n": 1}',
    f'400: {{"pin": {SECRET}}}': '400: {"pin": [masked]}',
    f"{{'cookies': {{'a': '{SECRET}'}}}}": None,
    f"{{'password': '{SECRET}', 'n': 1}}": "{'password': '[masked]', 'n': 1}",
    f"%7B%22password%22%3A%22{SECRET}%22%7D": '{"password":"[masked]"}',
    f"<login><password>{SECRET}</password></login>": "<login><password>[masked]</password></login>",
    f'<w:Password Type="a">{SECRET}</w:Password>': '<w:Password Type="a">[masked]</w:Password>',
    f'Content-Disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--b--': (
        'Content-Disposition: form-data; name="password"\r\n\r\n[masked]\r\n--b--'
    ),
    f'name="pin"\r\nContent-Type: text/plain\r\n\r\n{SECRET}': (
        'name="pin"\r\nContent-Type: text/plain\r\n\r\n[masked]'
    ),
    # other text
    f"password = 'a''{SECRET}' host=h": "password = '[masked]' host=h",
    f"password=<{SECRET}": "password=[masked]",
    f"<p>token={SECRET}</p>": "<p>token=[masked]</p>",
    f"password: {SECRET}, user: bob": "password: [masked], user: bob",
    f"password = '{SECRET} {SECRET}' host=h": "password = '[masked]' host=h",
    f"host=h password={SECRET} user=u": "host=h password=[masked] user=u",
    f'"token" => "{SECRET}"': '"token" => "[masked]"',
    f"AccountName=a;AccountKey={SECRET}==": "AccountName=a;AccountKey=[masked]",
    JWT: "[masked]",
    f"the token {JWT} is expired": "the token [masked] is expired",
    f"{BEGIN}\n{SECRET}\n{END}\n": "[masked]\n",
    f"key: {BEGIN}{SECRET}": "key: [masked]",
    f"ghp_{'a' * 20}{SECRET}": "[masked]",
    f"with github_pat_{'a' * 20}{SECRET}": "with [masked]",
    f"glpat-{'a' * 20}{SECRET}": "[masked]",
    f"xoxb-{'1' * 12}-{SECRET}": "[masked]",
    f"sk_live_{'a' * 20}{SECRET}": "[masked]",
    f"AIza{'a' * 20}{SECRET}": "[masked]",
    f"npm_{'a' * 30}{SECRET}": "[masked]",
    f"pypi-AgEI{'a' * 20}{SECRET}": "[masked]",
    "paid with 4111 1111 1111 1111.": "paid with [masked].",
    "4111-1111-1111-1111": "[masked]",
    "378282246310005": "[masked]",
}
# Each has the secret at a place that is no text of its own.
SECRET_STRUCTURES = [
    {"headers": [["host", "a"], ["authorization", SECRET]]},
    {"headers": [("cookie", SECRET), ("host", "a")]},
    {"header": ("x-api-key", SECRET)},
    {"header": ["X-Api-Key", SECRET]},
    {"header": ["cookie", SECRET]},
    {"form": [["password", SECRET]]},
    {"field": ("password", SECRET)},
    {"headers": [{"name": "Authorization", "value": SECRET}]},
    {"cookies": [{"name": "a", "value": SECRET}]},
    {"tags": [{"Key": "password", "Value": SECRET}]},
    {"form": {"name": "password", "values": [SECRET]}},
    {"change": {"field": "password", "old": SECRET, "new": SECRET}},
    {"password": {"from": SECRET, "to": {"deep": [SECRET]}}},
    {"a": [[[{"b": {"client_secret": [SECRET]}}]]]},
    {"card": {"number": 4111111111111111}},
    {"cards": [{"number": "4111111111111"}]},
    {"bank": {"account": SECRET}},
    {"api": {"key": SECRET}},
    {f"https://a:{SECRET}@host": "down"},
    {"seen": {f"Bearer {SECRET}": 1}},
    {"pin": 1234567},
]
HARMLESS_VALUES = [
    "https://example.org/?page=2&sort=asc",
    "https://host:8080/@user",
    "/search?code=DE",
    "https://host:8080?a@b",
    "https://example.org/a:b@c",
    "ssh://git@github.com/a.git",
    "git@github.com:a/b.git",
    "http://[::1]:80/",
    "mailto:a@example.org",
    "//cdn.example.com/x:y@z",
    "the bearer token expired",
    "Bearer authentication is required",
    "Bearer token",
    'Bearer realm="example"',
    "Basic plan",
    "Basic information",
    "basic subscription, monthly",
    "Basic Auth",
    "token_count=5&has_password=true",
    "password reset requested for bob",
    "the token expired",
    "secretary: bob",
    "author=jane",
    "primary_key = 3",
    "monkey=1;keyboard=2",
    "std::token::Type",
    "token:revoke",
    "api-key:rotate",
    "session:ended",
    "openid api_key:read secret:write",
    "password: changed.",
    "12:30:15",
    "2026-01-01T10:00:00Z",
    "100% sure: yes",
    "50%25",
    "%" + "25" * 5000,
    r"C:\Users\x",
    "key: value",
    '{"a":   1, "tokens_used": 5}',
    "{not json: x}",
    "[1,2]",
    "[" * 3000 + "]" * 3000,
    "monkeyJungle.example",
    "highp_precision_of_the_value",
    "user:name@host",
    "order 1234567890123456",
    "1700000000000000",
    "4111 1111 1111 1112",
    "0.4111111111111111",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "npm_config_registry_url_and_more",
    "glob-pattern-matching-something",
    "pypi-attestation-models-and-more",
    "sk_learn",
    "-----BEGIN CERTIFICATE-----abc-----END CERTIFICATE-----",
    "<b>bold</b>",
    'name="x"',
    "ünï: 😀",
    "",
    {"changed": ["password", "email"]},
    {"changed": ["email", "password"]},
    {"name": "secretary", "value": "bob"},
    {"field": "email", "old": "a", "new": "b"},
    {"name": "password", "required": True},
    {"order": {"number": 7}},
    {"password": True, "remember_token": False},
    {"tokens": 512, "output_tokens": 1.5},
    {"size": [["width", "1"], ["height", "2"]]},
    {"point": ("x", "y")},
    {7: "seven", "none": None},
]
